/** A server of our own as a deployment has set it up, and the programs of its exclusive sets. */
import { HostExtras } from "../../infra/host-extras.ts";
import { sshd, sysctl } from "../../infra/host-files.ts";
import * as technicia from "../../provider/resources.ts";
import { DECLARED } from "../../stacks/declared.ts";
import { register } from "../support/engine.ts";
import { startHost, type TestHost } from "../support/host.ts";

/** What a deployment has put on the server by the time that the sets are compared. */
const DEPLOYED = `
echo nameserver 127.0.0.11 > /etc/resolv.conf
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends curl docker.io iptables jq libcap2-bin nftables
cat > /etc/ssh/sshd_config.d/10-technicia.conf <<'END'
${sshd([22], ["debian", "alice"])}END
useradd --create-home --shell /bin/bash --groups sudo alice
echo 'alice ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/technicia-alice
chmod 0440 /etc/sudoers.d/technicia-alice
usermod --append --groups docker debian
mkdir -p /etc/systemd/journald.conf.d
echo '[Journal]' > /etc/systemd/journald.conf.d/10-technicia.conf
cat > /etc/sysctl.d/60-technicia.conf <<'END'
${sysctl()}END
sysctl --quiet --load /etc/sysctl.d/60-technicia.conf
systemctl reload ssh.service
nft 'add table inet technicia; add chain inet technicia input { type filter hook input priority 0; }; add rule inet technicia input accept'
docker swarm init --advertise-addr "$(hostname --all-ip-addresses | cut -d ' ' -f 1)" >/dev/null
tar --create --dereference --absolute-names /bin/sleep /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 | docker import - tiny:1 >/dev/null
docker network create --driver overlay --attachable technicia-edge >/dev/null
echo secret | docker secret create technicia-n8n-jwt-0a1b2c3 - >/dev/null
docker service create --quiet --name technicia-gateway --no-resolve-image --endpoint-mode dnsrr --publish published=443,target=443,mode=host --secret technicia-n8n-jwt-0a1b2c3 --network technicia-edge --entrypoint sleep tiny:1 9999 >/dev/null
docker run --detach --restart unless-stopped --name technicia-tunnel --publish 127.0.0.1:5678:5678 --network technicia-edge --entrypoint sleep tiny:1 9999 >/dev/null
`;

interface Scripts {
  readonly observe: string;
  readonly apply: string;
  readonly variables: Record<string, string>;
}

export const SETS = ["access", "files", "ports", "rules", "containers", "system"];

export interface ExtrasHost {
  readonly host: TestHost;
  readonly scripts: (set: string) => Scripts;
  readonly observed: (set: string) => Promise<string[]>;
  readonly apply: (set: string) => Promise<string>;
}

export async function startExtrasHost(): Promise<ExtrasHost> {
  const host = await startHost();
  const { resource } = await register(() => {
    const adminCidrs = { v4: ["198.51.100.0/24"] };
    const ssh = { user: "debian", ports: [22], admins: [{ name: "alice" }], adminCidrs };
    const files = [...DECLARED.files, ...DECLARED.written, "/etc/profile.d/ours.sh", "/etc/ours.d/"];
    new HostExtras("extra", { host: new technicia.Connection("host", {}), ssh, ...DECLARED, files }, {});
  });
  const scripts = (set: string) => resource(`extra-${set}`).inputs as unknown as Scripts;
  await host.exec(DEPLOYED);
  return {
    host,
    scripts,
    async observed(set) {
      const text = await host.exec(withVariables(scripts(set), scripts(set).observe));
      return text.trimEnd().split("\n");
    },
    apply: (set) => host.exec(withVariables(scripts(set), scripts(set).apply)),
  };
}

export function withVariables({ variables }: Scripts, script: string): string {
  const given = Object.entries(variables).map(
    ([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'`,
  );
  return `${given.join("\n")}\n${script}`;
}

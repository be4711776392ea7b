import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { HostExtras } from "../../infra/host-extras.ts";
import { sshd, sysctl } from "../../infra/host-files.ts";
import * as technicia from "../../provider/resources.ts";
import { DECLARED } from "../../stacks/declared.ts";
import { register } from "../support/engine.ts";
import { startHost, type TestHost } from "../support/host.ts";
import { until } from "../support/until.ts";

/** What a deployment has put on the server by the time that the sets are compared. */
const DEPLOYED = `
echo nameserver 127.0.0.11 > /etc/resolv.conf
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends curl docker.io iptables jq nftables
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
docker run --detach --name technicia-tunnel --publish 127.0.0.1:5678:5678 --network technicia-edge --entrypoint sleep tiny:1 9999 >/dev/null
`;

interface Scripts {
  readonly observe: string;
  readonly apply: string;
  readonly variables: Record<string, string>;
}

let host: TestHost;
let scripts: (set: string) => Scripts;

beforeAll(async () => {
  host = await startHost();
  const { resource } = await register(() => {
    const ssh = { user: "debian", ports: [22], admins: [{ name: "alice" }] };
    new HostExtras("extra", { host: new technicia.Connection("host", {}), ssh, ...DECLARED }, {});
  });
  scripts = (set) => resource(`extra-${set}`).inputs as unknown as Scripts;
  await host.exec(DEPLOYED);
});
afterAll(() => host.stop());

function withVariables({ variables }: Scripts, script: string): string {
  const given = Object.entries(variables).map(
    ([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'`,
  );
  return `${given.join("\n")}\n${script}`;
}

async function observed(set: string): Promise<string[]> {
  const text = await host.exec(withVariables(scripts(set), scripts(set).observe));
  return text.trimEnd().split("\n");
}

function apply(set: string): Promise<string> {
  return host.exec(withVariables(scripts(set), scripts(set).apply));
}

const SETS = ["access", "files", "ports", "rules", "containers"];

describe("a server right after its deployment", () => {
  it.each(SETS)("has no extras in the set %s, and reports that it was not compared yet", async (set) => {
    expect(await observed(set)).toEqual(["not compared yet"]);
    await apply(set);
    expect(await observed(set)).toEqual([NOTHING_EXTRA]);
  });

  it.each(SETS)("is compared with less than 0.3 s of a processor in the set %s", async (set) => {
    const { observe } = scripts(set);
    const spent = await host.exec(`(\n${withVariables(scripts(set), observe)}\n) >/dev/null\ntimes`);
    const children = [...(spent.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)];
    const [user = NaN, system = NaN] = children.map(
      ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
    );

    expect(user + system).toBeLessThan(0.3);
  });
});

describe("a server that was in use before", () => {
  it("fails the first comparison with a list of the extras, and keeps them", async () => {
    await host.exec("rm /var/lib/technicia/compared/files; echo '* * * * * root true' > /etc/cron.d/theirs");
    const { code, stderr } = await host.tryExec(withVariables(scripts("files"), scripts("files").apply));

    expect(code).toBe(1);
    expect(stderr).toContain(
      "expected a server without anything that nobody declared, got:\ncron entry /etc/cron.d/theirs",
    );
    expect(await host.exec("cat /etc/cron.d/theirs")).toContain("root true");
    await host.exec("rm /etc/cron.d/theirs");
    await apply("files");
    expect(await observed("files")).toEqual([NOTHING_EXTRA]);
  });
});

interface Case {
  readonly what: string;
  readonly tamper: string;
  readonly found: readonly (string | RegExp)[];
  /** Lines that may stand beside those. */
  readonly beside?: RegExp;
  /** What must hold after the repair besides the quiet. */
  readonly after?: string;
}

const PYTHON = "setsid python3 -c";
const CASES: Readonly<Record<string, readonly Case[]>> = {
  access: [
    {
      what: "an account with a shell, in powerful groups",
      tamper:
        "useradd --create-home --shell /bin/bash mallory; gpasswd -a mallory sudo; gpasswd -a mallory docker; setsid runuser -u mallory -- sleep 999 >/dev/null 2>&1 &",
      found: [
        "account mallory with the shell /bin/bash",
        "member mallory of the group docker",
        "member mallory of the group sudo",
      ],
      after: "! pgrep --full 'sleep 999'; [[ $(getent group docker) != *mallory* ]]",
    },
    {
      what: "a second root",
      tamper: "useradd --non-unique --uid 0 --no-create-home --no-user-group toor",
      found: ["account toor with uid 0"],
      after: "getent passwd root",
    },
    {
      what: "the login user of a package given root's group",
      tamper: "gpasswd -a www-data docker",
      found: ["member www-data of the group docker"],
    },
    {
      what: "a key of root's",
      tamper: `mkdir -p /root/.ssh; printf '# kept\\nno-port-forwarding,command="echo '"'"'Please login as the user \\\\"debian\\\\" rather'"'"'" ssh-ed25519 AAAA\\n' > /root/.ssh/authorized_keys; ssh-keygen -q -t ed25519 -N '' -C evil@example -f /tmp/key; cat /tmp/key.pub >> /root/.ssh/authorized_keys; rm /tmp/key*`,
      found: [/^key SHA256:\S+ evil@example in \/root\/\.ssh\/authorized_keys$/],
      after:
        "grep --quiet '^# kept' /root/.ssh/authorized_keys; grep --quiet 'Please login' /root/.ssh/authorized_keys",
    },
    {
      what: "a key in the second file that sshd reads",
      tamper:
        "ssh-keygen -q -t ed25519 -N '' -C evil -f /tmp/key; cat /tmp/key.pub >> /home/debian/.ssh/authorized_keys2; rm /tmp/key*",
      found: [/^key SHA256:\S+ evil in \/home\/debian\/\.ssh\/authorized_keys2$/],
    },
    {
      what: "a sudo rule in a file of its own",
      tamper: "echo 'www-data ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/web",
      found: ['sudo rule "www-data ALL=(ALL) NOPASSWD: ALL" in /etc/sudoers.d/web'],
      after: "! test -e /etc/sudoers.d/web",
    },
    {
      what: "a sudo rule over two lines among the login user's own",
      tamper: "printf 'games ALL=(ALL) \\\\\\n  ALL\\n' >> /etc/sudoers.d/90-cloud-init-users",
      found: ['sudo rule "games ALL=(ALL) ALL" in /etc/sudoers.d/90-cloud-init-users'],
      after:
        "runuser -u debian -- sudo -n true; [ $(stat --format %a /etc/sudoers.d/90-cloud-init-users) = 440 ]",
    },
    {
      what: "a sudo rule for a number",
      tamper: "echo '#33 ALL=(ALL) ALL' >> /etc/sudoers",
      found: ['sudo rule "#33 ALL=(ALL) ALL" in /etc/sudoers'],
      after: "visudo --check --quiet; [ $(stat --format %a /etc/sudoers) = 440 ]",
    },
    {
      what: "a file that sshd reads before ours",
      tamper: "echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-open.conf",
      found: ["sshd setting permitrootlogin is yes instead of no"],
      after: "! test -e /etc/ssh/sshd_config.d/00-open.conf",
    },
    {
      what: "sshd's own file without the line that reads ours",
      tamper: "sed -i 's/^Include/#Include/; $a PasswordAuthentication yes' /etc/ssh/sshd_config",
      found: ["sshd setting allowusers is not there instead of debian alice"],
      beside: /^sshd setting /,
    },
    {
      what: "passwords for some, in a block",
      tamper: "printf 'Match User root\\n  PasswordAuthentication yes\\n' >> /etc/ssh/sshd_config",
      found: ["sshd setting passwordauthentication is yes instead of no"],
    },
  ],
  files: [
    {
      what: "a file in cron.d",
      tamper: "echo '* * * * * root true' > /etc/cron.d/evil",
      found: ["cron entry /etc/cron.d/evil"],
    },
    {
      what: "a file in cron.d that bears an old date",
      tamper: "echo '* * * * * root true' > /etc/cron.d/old; touch --date 2020-01-01 /etc/cron.d/old",
      found: ["cron entry /etc/cron.d/old"],
    },
    {
      what: "root's crontab",
      tamper: "echo '* * * * * true' | crontab -",
      found: ["cron entry /var/spool/cron/crontabs/root"],
    },
    {
      what: "a line in the system's crontab",
      tamper: "echo '* * * * * root true' >> /etc/crontab",
      found: ["edited file of a package /etc/crontab"],
      after: "! grep --quiet 'root true' /etc/crontab",
    },
    {
      what: "a unit that runs",
      tamper:
        "printf '[Service]\\nExecStart=/bin/sleep 998\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/evil.service; systemctl enable --now --quiet evil.service",
      found: ["unit /etc/systemd/system/evil.service"],
      after: "! pgrep --full 'sleep 998'; ! test -L /etc/systemd/system/multi-user.target.wants/evil.service",
    },
    {
      what: "a timer with its service",
      tamper:
        "printf '[Timer]\\nOnBootSec=1h\\n' > /etc/systemd/system/evil.timer; printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/evil.service; systemctl start evil.timer",
      found: ["timer /etc/systemd/system/evil.timer", "unit /etc/systemd/system/evil.service"],
      after: "! systemctl is-active evil.timer",
    },
    {
      what: "an override of a unit that runs under it",
      tamper:
        "mkdir -p /etc/systemd/system/cron.service.d; printf '[Service]\\nEnvironment=EVIL=1\\n' > /etc/systemd/system/cron.service.d/evil.conf; systemctl daemon-reload; systemctl restart cron.service",
      found: ["override /etc/systemd/system/cron.service.d/evil.conf"],
      after:
        "! grep EVIL /proc/$(systemctl show --property MainPID --value cron.service)/environ; systemctl is-active cron.service",
    },
    {
      what: "a timer that lives until the reboot",
      tamper: "systemd-run --quiet --unit=fleeting --on-active=1h /bin/true",
      found: ["transient timer fleeting.timer"],
      after: "! systemctl is-active fleeting.timer",
    },
    {
      what: "a timer that has only the name of a guard",
      tamper:
        "systemd-run --quiet --unit=technicia-guard-evil --on-active=1h /bin/true; touch --date '1 hour ago' /run/systemd/transient/technicia-guard-evil.timer",
      found: ["transient timer technicia-guard-evil.timer"],
      after: "! systemctl is-active technicia-guard-evil.timer",
    },
    {
      what: "a masked timer of a package",
      tamper: "systemctl mask --quiet apt-daily.timer",
      found: ["mask /etc/systemd/system/apt-daily.timer"],
      after: "systemctl cat apt-daily.timer >/dev/null",
    },
    {
      what: "a unit of a package, edited where the package put it",
      tamper: "echo '# evil' >> /usr/lib/systemd/system/cron.service",
      found: ["edited file of a package /usr/lib/systemd/system/cron.service"],
      after: "! grep --quiet evil /usr/lib/systemd/system/cron.service",
    },
    {
      what: "kernel settings in a file",
      tamper: "echo 'net.core.somaxconn = 64' > /etc/sysctl.d/99-evil.conf",
      found: ["kernel settings /etc/sysctl.d/99-evil.conf"],
    },
    {
      what: "a kernel setting in force",
      tamper: "sysctl --quiet --write net.core.somaxconn=64",
      found: ["kernel setting net.core.somaxconn is 64 instead of 4096"],
    },
    {
      what: "what every program loads",
      tamper: "echo /tmp/evil.so > /etc/ld.so.preload",
      found: ["file /etc/ld.so.preload"],
    },
  ],
  ports: [
    {
      what: "a process that listens on every address",
      tamper:
        "setsid python3 -m http.server 4444 >/dev/null 2>&1 & until ss -lnt | grep -q :4444; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:4444 by python3.11"],
    },
    {
      what: "a process that listens for datagrams",
      tamper: `${PYTHON} "import socket,time;s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.bind(('::',9999));time.sleep(999)" >/dev/null 2>&1 & until ss -lnu | grep -q :9999; do sleep 0.1; done`,
      found: ["listener udp *:9999 by python3.11"],
    },
    {
      what: "a process on the loopback that does not end when asked",
      tamper: `${PYTHON} "import signal,socket,time;signal.signal(15,signal.SIG_IGN);s=socket.create_server(('127.0.0.1',4446));time.sleep(999)" >/dev/null 2>&1 & until ss -lnt | grep -q :4446; do sleep 0.1; done`,
      found: ["listener tcp 127.0.0.1:4446 by python3.11"],
    },
    {
      what: "a service",
      tamper:
        "systemd-run --quiet --unit=listening python3 -m http.server 4447; until ss -lnt | grep -q :4447; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:4447 by python3.11 of listening.service"],
      after: "! systemctl is-active listening.service",
    },
    {
      what: "a socket for which systemd listens",
      tamper:
        "systemd-run --quiet --unit=waiting --socket-property=ListenStream=4448 --socket-property=Accept=no /bin/true; until ss -lnt | grep -q :4448; do sleep 0.1; done",
      found: [/^listener tcp \*:4448 by systemd( of init\.scope)?$/],
    },
    {
      what: "another port of sshd's",
      tamper: "/usr/sbin/sshd -p 2223; until ss -lnt | grep -q :2223; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:2223 by sshd", "listener tcp [::]:2223 by sshd"],
      after: "systemctl is-active ssh.service; [[ $(ss -lnt) == *':22 '* ]]",
    },
  ],
  rules: [
    {
      what: "a rule that accepts",
      tamper: "iptables --insert INPUT --protocol tcp --dport 4444 --jump ACCEPT",
      found: ["rule tcp dport 4444 counter accept in ip filter INPUT"],
    },
    {
      what: "a rule of IPv6 that accepts",
      tamper: "ip6tables --insert INPUT --protocol tcp --dport 4444 --jump ACCEPT",
      found: ["rule tcp dport 4444 counter accept in ip6 filter INPUT"],
    },
    {
      what: "a rule that accepts before Docker's",
      tamper: "iptables --insert DOCKER-USER --jump ACCEPT",
      found: ["rule counter accept in ip filter DOCKER-USER"],
      after: "[[ $(nft list chain ip filter DOCKER-USER) == *return* ]]",
    },
    {
      what: "a chain, and the way to it",
      tamper:
        "iptables --new-chain ROGUE; iptables --append ROGUE --jump ACCEPT; iptables --insert FORWARD --jump ROGUE",
      found: ["chain ROGUE of ip filter", "rule counter jump ROGUE in ip filter FORWARD"],
    },
    {
      what: "a table that accepts before ours",
      tamper:
        "nft 'add table inet evil; add chain inet evil input { type filter hook input priority -10; }; add rule inet evil input tcp dport 4444 accept'",
      found: ["table inet evil of nftables"],
    },
    {
      what: "a port turned towards another",
      tamper:
        "iptables --table nat --append PREROUTING --protocol tcp --dport 4444 --jump REDIRECT --to-ports 22",
      found: [/^rule tcp dport 4444 counter redirect to :22 in ip nat PREROUTING$/],
    },
  ],
  containers: [
    {
      what: "a container",
      tamper: "docker run --detach --name rogue --publish 8081:80 --entrypoint sleep tiny:1 9999",
      found: ["container rogue of tiny:1"],
    },
    {
      what: "a container that only lies there",
      tamper:
        "docker create --name rogue --volume /opt/technicia/data:/data tiny:1 true; docker run --name spent --publish 1:1 --entrypoint sleep tiny:1 0",
      found: ["container spent of tiny:1"],
      after: "docker container rm rogue",
    },
    {
      what: "a service with all it uses",
      tamper:
        "docker network create --driver overlay roguenet; echo x | docker secret create roguesecret -; echo x | docker config create rogueconfig -; docker service create --quiet --detach --name rogue --no-resolve-image --network roguenet --secret roguesecret --config rogueconfig --entrypoint sleep tiny:1 9999",
      found: ["config rogueconfig", "network roguenet", "secret roguesecret", "service rogue of tiny:1"],
    },
    {
      what: "a network that a declared container has joined",
      tamper: "docker network create roguenet; docker network connect roguenet technicia-tunnel",
      found: ["network roguenet"],
      after: "[ $(docker container inspect --format '{{.State.Running}}' technicia-tunnel) = true ]",
    },
  ],
};

describe.each(SETS)("the set %s", (set) => {
  it.each(CASES[set] ?? [])(
    "finds $what, takes it away and is quiet again",
    async ({ tamper, found, beside, after }) => {
      await host.exec(tamper);
      await until("the tampering is seen", async () => (await observed(set))[0] !== NOTHING_EXTRA);
      const seen = await observed(set);
      const main =
        beside === undefined ? seen : seen.filter((line) => !beside.test(line) || found.includes(line));
      expect(main).toEqual(
        found.map((line) => (typeof line === "string" ? line : (expect.stringMatching(line) as string))),
      );

      const said = await apply(set);
      expect(said).toContain(`removing: ${seen[0] ?? ""}`);
      expect(await observed(set)).toEqual([NOTHING_EXTRA]);
      expect(await apply(set)).toBe("");
      if (after !== undefined) await host.exec(after);
      for (const other of SETS) expect(await observed(other)).toEqual([NOTHING_EXTRA]);
    },
  );
});

describe("the set ports", () => {
  it("does not report a client that waits for an answer as a listener", async () => {
    await host.exec(
      "timeout 1.5 python3 -c 'import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"\", 55524)); time.sleep(9)' >/dev/null 2>&1 & " +
        "until ss -lnu | grep -q :55524; do sleep 0.1; done",
    );

    expect(await observed("ports")).toEqual([NOTHING_EXTRA]);
  });
});

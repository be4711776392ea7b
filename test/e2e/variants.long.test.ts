/**
 * First deployments on servers, and under names, that are not as a provider's usual image and an empty zone leave them. What is in the way is
 * refused; the tests then do what the refusal says. Variants share a deployment where none hides another.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { DATACENTRE } from "../../rehearsal/addresses.ts";
import { expectSound, type Remedy, startFirst, startFollowing, stopRehearsal } from "./first-deployment.ts";
import { askHealth, DOMAIN, expectQuiet, management, onServer, pulumi, restart, until } from "./rehearsal.ts";

const variants = (...names: string[]) => names.flatMap((name) => ["--variant", name]);

afterAll(stopRehearsal);

describe("a server whose image has another time daemon, firewall and swap, and no IPv6", () => {
  beforeAll(stopRehearsal);

  it("is deployed as it is, and no resolver is asked for a name before it exists", async () => {
    const chosen = variants("chrony", "no-ipv6", "nftables", "swap", "kept-absence");
    await startFirst("a server that is not as usual", ...chosen);

    const asked = await management<readonly string[]>("absences");
    expect(asked.filter((question) => question.endsWith(`${DOMAIN} A`))).toEqual([]);
  });

  it("keeps its time daemon", async () => {
    expect(await onServer("systemctl is-enabled chrony.service")).toBe("enabled\n");
    const status = "dpkg-query --show --showformat '${db:Status-Abbrev}' systemd-timesyncd";
    expect(await onServer(status)).toBe("rc ");
  });

  it("has the IPv6 address that was assigned, with a route", async () => {
    const { server6 } = DATACENTRE;
    expect(await onServer(`ip -6 -oneline address show to ${server6}`)).toContain(server6);
    expect(await onServer("ip -6 route show default")).toMatch(/^default via \S+ dev eth0/);
    expect(await onServer("cat /etc/network/interfaces.d/60-technicia-ipv6*")).toContain(`${server6}/128`);
  });

  it("has one firewall, which the distribution's own cannot empty", async () => {
    expect((await onServer("systemctl is-enabled nftables.service || true")).trim()).toBe("masked");
    const tables = await onServer("nft list tables inet");
    expect(tables).toBe("table inet technicia\n");
  });

  it("has the swap of the settings, once", async () => {
    expect((await onServer("grep --count ^/swapfile /etc/fstab")).trim()).toBe("1");
    const bytes = await onServer('stat --format %s "$(realpath /swapfile)"');
    const { stdout } = await pulumi("config", "get", "--path", "technicia:host.swapGib");
    expect(Number(bytes)).toBe(Number(stdout) * 1024 ** 3);
  });

  it("has nothing on it that nobody declared, and passes every gate of a deployment", expectSound);

  it("is the same after a reboot", async () => {
    await restart();
    await until("TechnicIA answers again", () => askHealth().then(() => true), 180);

    await expectQuiet();
  });
});

describe("a server with Docker's own engine, under a name that is an alias", () => {
  beforeAll(stopRehearsal);

  it("is deployed once what each refusal says is done", async () => {
    await startFollowing("a server with Docker's own engine", {
      args: variants("cname-record", "docker-ce", "docker-source"),
      remedies: [
        {
          says: new RegExp(
            `dns: expected no records of ${DOMAIN} besides ours, got CNAME www\\.technicia\\.example; if nothing uses them, delete them in Cloudflare's dashboard`,
          ),
          type: () => deleteRecord("CNAME"),
        },
        {
          says: /host\.dockerSource: expected the distribution's Docker and no other engine on the server, got containerd\.io docker-ce docker-ce-cli; keep it and set host\.dockerSource to docker, or remove it with sudo (apt-get remove [^,]*), which stops its containers/,
          type: (command) => onServer(`DEBIAN_FRONTEND=noninteractive ${command} --yes`),
        },
        {
          says: /host\.dockerSource: expected no packages from download\.docker\.com, got (\S+); delete its lines for that address/,
          type: (file) => onServer(`sed --in-place /download.docker.com/d ${file}`),
        },
        // Found by the first comparison, once everything runs: the file is empty now, and nothing names the key.
        stray("/etc/apt/sources.list.d/docker.list"),
        stray("/etc/apt/keyrings/docker.asc"),
      ],
    });
  });

  it("runs the distribution's engine", async () => {
    expect(await onServer("dpkg-query --search /usr/sbin/dockerd")).toContain("docker.io:");
  });

  it("has nothing on it that nobody declared, and passes every gate of a deployment", expectSound);
});

describe("a server that a team works on, under a name with records already", () => {
  beforeAll(stopRehearsal);

  it("is deployed once what each refusal says is done", async () => {
    const { said } = await startFollowing("a server that was in use", {
      args: variants("in-use", "parking-record", "same-record"),
      remedies: [
        {
          says: new RegExp(`dns: expected no records of ${DOMAIN} besides ours, got A 192\\.0\\.2\\.80; if`),
          type: () => deleteRecord("A", "192.0.2.80"),
        },
        {
          says: /port 80 of the server: expected nobody there, got nginx of nginx\.service; stop it with sudo (.*)/,
          type: (command) => onServer(command),
        },
        {
          says: /changed file \/etc\/nginx\/sites-available\/default/,
          type: () => onServer("DEBIAN_FRONTEND=noninteractive apt-get purge --yes 'nginx*' 'libnginx-mod*'"),
        },
        {
          says: /account alice with the shell \/bin\/bash/,
          type: () => onServer("userdel --remove alice 2>/dev/null"),
        },
        {
          says: /sudo rule "alice ALL=\(ALL\) NOPASSWD:ALL" in (\S+)/,
          type: (file) => onServer(`rm ${file}`),
        },
        {
          says: /listener tcp \S+:8000 by python\S+ of (intranet\.service)/,
          type: (unit) => onServer(`systemctl stop ${unit}`),
        },
        {
          says: /unit (\/etc\/systemd\/system\/intranet\.service)/,
          type: (file) =>
            onServer(`systemctl disable --quiet intranet.service; rm ${file}; systemctl daemon-reload`),
        },
        {
          says: /sshd file (\S+99-equipe\.conf)/,
          type: (file) => onServer(`rm ${file}; systemctl reload ssh.service`),
        },
        { says: /cron entry (\S+sauvegarde)/, type: (file) => onServer(`rm ${file}`) },
        { says: /kernel settings (\S+99-equipe\.conf)/, type: (file) => onServer(`rm ${file}`) },
        stray("/usr/local/bin/publier"),
      ],
    });

    expect(said).toContain(`${DOMAIN}: the record A ${DATACENTRE.server} exists already; it was taken over`);
  });

  it("still has the team's data", async () => {
    expect(await onServer("cat /srv/www/index.html")).toContain("le site de notre équipe");
  });

  it("has nothing else on it that nobody declared, and passes every gate of a deployment", expectSound);
});

function stray(path: string): Remedy {
  return {
    says: new RegExp(`stray file ${path.replaceAll(".", "\\.")}`),
    type: () => onServer(`rm ${path}`),
  };
}

/** As a person does it in Cloudflare's dashboard. */
async function deleteRecord(type: string, content?: string): Promise<void> {
  const { cloudflare } = await management<{
    cloudflare: {
      zones: { name: string; records: { id: string; type: string; name: string; content: string }[] }[];
    };
  }>("state");
  const [zone] = cloudflare.zones;
  const record = zone?.records.find(
    (one) => one.type === type && one.name === DOMAIN && (content === undefined || one.content === content),
  );
  if (!zone || !record) throw new Error(`expected a record ${type} of ${DOMAIN}, got none`);
  await management(`cloudflare/zone/${zone.name}/record/${record.id}`, "DELETE");
}

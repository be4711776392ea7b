import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { script, scriptParts } from "../../common/script.ts";

const partOf = (file: string, parts: readonly string[]) =>
  scriptParts(new URL(`../../infra/scripts/${file}`, import.meta.url), parts);
const OBSTACLES = partOf("obstacles.sh", ["observe", "apply"]);
const CLOCK = partOf("clock.sh", ["observe", "apply"]);
const DOCKER_RULES = partOf("docker-rules.sh", ["observe"]);
const PENALTIES = script(new URL("../../infra/scripts/sshd-penalties.sh", import.meta.url));
const SWARM = partOf("swarm.sh", ["observe", "apply", "remove"]);

let server: string;
beforeEach(async () => {
  server = await mkdtemp(join(tmpdir(), "technicia-scripts-"));
});
afterEach(() => rm(server, { recursive: true }));

async function write(path: string, text = ""): Promise<void> {
  await mkdir(dirname(join(server, path)), { recursive: true });
  await writeFile(join(server, path), text, { mode: 0o755 });
}

/** Runs a program on a server in a folder, whose commands the shell functions stand in for. */
async function runOn(
  program: string | undefined,
  { commands = "", variables = {} }: { commands?: string; variables?: Record<string, string> },
) {
  const text = String(program).replaceAll(
    /(?<![\w.*])\/(?=(etc|usr\/lib|usr\/sbin|var\/lib|snap)\/)/g,
    `${server}/`,
  );
  const { code, stdout, stderr } = await tryRun(["bash", "-euo", "pipefail", "-s"], {
    input: `${commands}\n${text}`,
    environment: { PATH: `${server}/bin:/usr/bin:/bin`, ...variables },
  });
  return { code, said: stdout.trim(), complained: stderr.trim() };
}

describe("what is in the way", () => {
  const FREE = "nothing in the way";
  // Every program of an engine is in one folder; dpkg knows whose it is by OWNERS.
  const commands = `
type() { local name=\${!#}; ls "${"$"}SERVER/bin/$name" 2>/dev/null; }
dpkg-query() {
  if [ "$1" = --show ]; then [ -z "$INSTALLED" ] || printf 'ii '; return; fi
  local owner; owner=$(awk -v program="\${2##*/}" '$1 == program { print $2 ": /usr/bin/" program }' <<<"$OWNERS")
  [ -n "$owner" ] && echo "$owner"
}
ss() { [ "\${!#}" = "sport = :$PORT" ] && printf '%s\n' "$HOLDERS"; true; }
docker() { printf '%s\n' "$CONTAINERS"; }`;

  async function observe({
    source = "distribution",
    owners = {},
    installed = "",
    port = "80",
    holders = "",
    containers = "",
  }: {
    source?: string;
    owners?: Readonly<Record<string, string>>;
    installed?: string;
    port?: string;
    holders?: string;
    containers?: string;
  } = {}): Promise<string> {
    const { code, said, complained } = await runOn(OBSTACLES["observe"], {
      commands,
      variables: {
        ...{ SERVER: server, SOURCE: source, PORT: port, HOLDERS: holders, CONTAINERS: containers },
        INSTALLED: installed,
        OWNERS: Object.entries(owners)
          .map((row) => row.join(" "))
          .join("\n"),
      },
    });
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    return said;
  }

  async function installEngine(...programs: readonly string[]): Promise<void> {
    for (const program of programs) await write(`bin/${program}`);
  }

  it("is nothing on a fresh server", async () => {
    expect(await observe()).toBe(FREE);
    expect(await observe({ source: "docker" })).toBe(FREE);
  });

  it.each([
    ["distribution", { dockerd: "docker.io", docker: "docker-cli", containerd: "containerd", runc: "runc" }],
    [
      "docker",
      { dockerd: "docker-ce", docker: "docker-ce-cli", containerd: "containerd.io", runc: "containerd.io" },
    ],
  ])("is nothing where the engine of %s is installed already", async (source, owners) => {
    await installEngine(...Object.keys(owners));

    expect(await observe({ source, owners })).toBe(FREE);
  });

  it.each([
    [
      "distribution",
      { dockerd: "docker-ce", docker: "docker-ce-cli", containerd: "containerd.io" },
      "the distribution's Docker and no other engine on the server, got containerd.io docker-ce docker-ce-cli; keep it and set host.dockerSource to docker, or remove it with sudo apt-get remove containerd.io docker-ce docker-ce-cli, which stops its containers",
    ],
    [
      "docker",
      { dockerd: "docker.io", containerd: "containerd" },
      "the Docker of Docker's own repository and no other engine on the server, got containerd docker.io; keep it and set host.dockerSource to distribution, or remove it with sudo apt-get remove containerd docker.io, which stops its containers",
    ],
    [
      "distribution",
      { docker: "podman-docker" },
      "the distribution's Docker and no other engine on the server, got podman-docker; remove it with sudo apt-get remove podman-docker, which stops its containers",
    ],
  ])("is another engine than that of %s: %j", async (source, owners, problem) => {
    await installEngine(...Object.keys(owners));

    expect(await observe({ source, owners })).toBe(`host.dockerSource: expected ${problem}`);
  });

  it("is an engine that no package brought", async () => {
    await installEngine("dockerd");

    expect(await observe()).toContain(`got ${server}/bin/dockerd; remove it as it was installed`);
  });

  it("is Docker's snap", async () => {
    await write("snap/bin/docker");

    expect(await observe()).toContain("got snap:docker; remove it with sudo snap remove docker");
  });

  it("is a source of Docker's packages, unless they come from there or the line is a comment", async () => {
    await write(
      "etc/apt/sources.list.d/x.list",
      "deb https://download.docker.com/linux/debian bookworm stable\n",
    );
    await write("etc/apt/sources.list.d/y.list", "# deb https://download.docker.com/linux/debian x y\n");

    expect(await observe()).toBe(
      `host.dockerSource: expected no packages from download.docker.com, got ${server}/etc/apt/sources.list.d/x.list; delete its lines for that address, or set host.dockerSource to docker`,
    );
    expect(await observe({ source: "docker" })).toBe(FREE);
  });

  const holder = (name: string) =>
    `LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("${name}",pid=4000000,fd=4),("${name}",pid=4000001,fd=4))`;

  it.each(["80", "443", "5678", "6333"])("is whoever listens on port %s", async (port) => {
    expect(await observe({ port, holders: `${holder("caddy")}\n${holder("caddy")}` })).toBe(
      `port ${port} of the server: expected nobody there, got caddy (process 4000000); stop it`,
    );
  });

  it("is somebody else's container on a port of ours, and not our own", async () => {
    const containers =
      "technicia-gateway technicia-gateway.1.x\n technicia-tunnel\n other_web other_web.1.y\n shop";

    expect(await observe({ holders: holder("docker-proxy"), containers })).toBe(
      ["other_web.1.y", "shop"]
        .map(
          (name) =>
            `port 80 of the server: expected nobody there, got the container ${name}; stop it with sudo docker stop ${name}`,
        )
        .join("\n"),
    );
  });

  it("is told all at once", async () => {
    await installEngine("dockerd");

    expect((await observe({ holders: holder("caddy") })).split("\n")).toHaveLength(2);
  });

  it("is not asked for once everything runs, as long as our engine is installed", async () => {
    await write("var/lib/technicia/compared/ports");

    expect(await observe({ installed: "yes", holders: holder("caddy") })).toBe(FREE);
    expect(await observe({ holders: holder("caddy") })).toContain("got caddy");
  });

  it("is the text of the failure", async () => {
    expect(await runOn(OBSTACLES["apply"], { variables: { OBSERVED: "a\nb" } })).toEqual({
      code: 1,
      said: "",
      complained: "a\nb",
    });
  });
});

describe("the clock", () => {
  // NTP and CanNTP are timedated's answers; CONTAINER and ENABLED are success or failure.
  const commands = `
timedatectl() { if [ "$1" = show ]; then case $* in *CanNTP*) echo "$CAN" ;; *) echo "$NTP" ;; esac; else echo "timedatectl $*"; fi; }
systemd-detect-virt() { [ "$CONTAINER" = yes ]; }
systemctl() { [ "\${!#}" = "$ENABLED" ]; }`;
  const observe = async (variables: Record<string, string>) =>
    (
      await runOn(CLOCK["observe"], {
        commands,
        variables: { NTP: "no", CONTAINER: "no", ENABLED: "", ...variables },
      })
    ).said;

  it("is kept in time by whichever daemon timedatectl names active", async () => {
    expect(await observe({ NTP: "yes" })).toBe("kept in time");
    expect(await observe({ ENABLED: "chrony.service" })).toBe("left alone");
  });

  it("is kept in time in a container, where a daemon is enabled and does not run", async () => {
    await write("usr/lib/systemd/ntp-units.d/50-chrony.list", "# chrony\nchrony.service\n");

    expect(await observe({ CONTAINER: "yes", ENABLED: "chrony.service" })).toBe("kept in time");
    expect(await observe({ CONTAINER: "yes" })).toBe("left alone");
  });

  it("is switched on through timedatectl, which knows the daemon", async () => {
    expect((await runOn(CLOCK["apply"], { commands, variables: { CAN: "yes" } })).said).toBe(
      "timedatectl set-ntp true",
    );
  });

  it("needs a daemon", async () => {
    expect(await runOn(CLOCK["apply"], { commands, variables: { CAN: "no" } })).toMatchObject({
      code: 1,
      complained:
        "expected a time daemon that timedatectl can switch on, got none; install one on the server with sudo apt-get install systemd-timesyncd",
    });
  });
});

describe("Docker's rules", () => {
  const observe = async (nat: string, filter: string, { active = "yes", bridges = "no" } = {}) =>
    (
      await runOn(DOCKER_RULES["observe"], {
        commands: `
systemctl() { [ "$ACTIVE" = yes ]; }
nft() { [ "$BRIDGES" = yes ]; }
iptables() { case $* in *nat*) printf '%s\n' "$NAT" ;; *) printf '%s\n' "$FILTER" ;; esac; }`,
        variables: { ACTIVE: active, BRIDGES: bridges, NAT: nat, FILTER: filter },
      })
    ).said;
  const NAT = "-P PREROUTING ACCEPT\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER";
  const FILTER = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER";

  it("are loaded where both tables lead to them, or where they are nftables' own", async () => {
    expect(await observe(NAT, FILTER)).toBe("Docker's rules are loaded");
    expect(await observe("", "", { bridges: "yes" })).toBe("Docker's rules are loaded");
  });

  it("are gone where one of the tables was flushed", async () => {
    expect(await observe("-P PREROUTING ACCEPT", FILTER)).toBe("Docker's rules are gone");
    expect(await observe(NAT, "-P FORWARD ACCEPT")).toBe("Docker's rules are gone");
  });

  it("are not asked for while Docker is stopped", async () => {
    expect(await observe("", "", { active: "no" })).toBe("Docker's rules are loaded");
  });
});

describe("the swarm", () => {
  const commands = `
docker() { if [ "$1" = info ]; then echo "$SWARM"; else echo "docker $*" >&2; fi; }
ss() { printf '%s' "$LISTENS"; }`;
  const observe = async (swarm: string, listens: string) =>
    (await runOn(SWARM["observe"], { commands, variables: { SWARM: swarm, LISTENS: listens } })).said;

  it("shows where it listens", async () => {
    expect(await observe("inactive, manager: false", "")).toBe("inactive, manager: false, not listening");
    expect(await observe("active, manager: true", "LISTEN 0 4096 *:2377 *:*\n")).toBe(
      "active, manager: true, listening at *:2377",
    );
    expect(await observe("active, manager: true", "LISTEN 0 4096 127.0.0.1:2377 0.0.0.0:*\n")).toBe(
      "active, manager: true, listening at 127.0.0.1:2377",
    );
  });

  it("is created where there is none, and keeps its services where it moves", async () => {
    const apply = async (observed: string) =>
      (await runOn(SWARM["apply"], { commands, variables: { OBSERVED: observed } })).complained;
    const init = "--listen-addr 127.0.0.1:2377 --advertise-addr 127.0.0.1";

    expect(await apply("inactive, manager: false, not listening")).toBe(`docker swarm init ${init}`);
    expect(await apply("active, manager: true, listening at *:2377")).toBe(
      `docker swarm init --force-new-cluster ${init}`,
    );
  });
});

describe("sshd's penalties", () => {
  // An sshd that knows them prints LIST; each call of systemctl is printed.
  const sshd = `#!/bin/bash
case "$1:$*" in
  -t:*PerSource*) [ "$KNOWN" = yes ] ;;
  -t:*) true ;;
  *) echo "port 22"; [ -z "$LIST" ] || echo "persourcepenaltyexemptlist $LIST" ;;
esac`;
  const NETWORKS = "198.51.100.0/24,2001:db8:51::/64";
  const path = "etc/ssh/sshd_config.d/11-technicia-penalties.conf";
  const act = async (what: string, variables: Record<string, string>) => {
    await write("usr/sbin/sshd", sshd);
    return await runOn(`${PENALTIES}\n${what}`, {
      commands: `systemctl() { echo "systemctl $*"; }`,
      variables: { KNOWN: "yes", LIST: "", NETWORKS, ...variables },
    });
  };

  it("spare the administrators' networks", async () => {
    expect((await act("observe", {})).said).toMatch(/11-technicia-penalties\.conf is not as it was written$/);
    await write(path);
    await act("apply", {});
    expect((await act("observe", {})).said).toBe("sshd's penalties spare nobody");
    expect((await act("observe", { LIST: "192.0.2.0/24" })).said).toBe("sshd's penalties spare 192.0.2.0/24");
    expect((await act("observe", { LIST: NETWORKS })).said).toBe("administrators are spared");
  });

  it("are left alone where sshd has none", async () => {
    await write(path);
    await act("apply", { KNOWN: "no" });

    expect((await act("observe", { KNOWN: "no" })).said).toBe("administrators are spared");
    await act("remove", { KNOWN: "no" });
    expect((await act("observe", { KNOWN: "no" })).said).not.toBe("administrators are spared");
  });

  it("are set in a file of their own, which goes with the setting", async () => {
    await write(path);

    expect(await act("apply", {})).toMatchObject({ code: 0, said: "systemctl reload ssh.service" });
    expect(await readFile(join(server, path), "utf8")).toContain(
      `\nPerSourcePenaltyExemptList ${NETWORKS}\n`,
    );
    await act("remove", {});
    expect(existsSync(join(server, path))).toBe(false);
  });
});

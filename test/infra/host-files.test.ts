import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { describe, expect, it } from "vitest";

import { script } from "../../common/script.ts";
import { dockerDaemon, packageNames, sshd, sysctl, unattendedUpgrades } from "../../infra/host-files.ts";

const RESTART_DOCKER = script(new URL("../../infra/scripts/restart-docker.sh", import.meta.url));

/** Runs the restart with programs that do as told; gives what it called. */
async function fakeHost(programs: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-restart-"));
  const log = join(folder, "log");
  for (const [name, text] of Object.entries(programs)) {
    const file = join(folder, name);
    await writeFile(file, `#!/bin/bash\necho "${name} $*" >> "$LOG"\n${text}\n`, { mode: 0o755 });
  }
  await promisify(execFile)("bash", ["-euo", "pipefail", "-c", RESTART_DOCKER], {
    env: { PATH: `${folder}:${process.env["PATH"] ?? ""}`, LOG: log },
  });
  const calls = (await readFile(log, "utf8")).trim().split("\n");
  await rm(folder, { recursive: true });
  return calls;
}

describe("packageNames", () => {
  const common = ["ca-certificates", "curl", "jq", "nftables", "openssl", "pigz", "unattended-upgrades"];

  it("takes Docker from the distribution", () => {
    expect(packageNames("distribution")).toEqual([...common, "docker.io"].sort());
  });

  it("takes Docker from Docker's own repository", () => {
    expect(packageNames("docker")).toEqual([...common, "containerd.io", "docker-ce", "docker-ce-cli"].sort());
  });
});

describe("sshd", () => {
  it("admits keys only, named users only, and what a parallel deployment opens", () => {
    expect(sshd(2222, ["debian", "alice"])).toBe(`# Managed: a change made here by hand is found and undone.
Port 2222
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers debian alice
MaxAuthTries 4
MaxStartups 60:30:120
MaxSessions 60
LoginGraceTime 30
ClientAliveInterval 30
ClientAliveCountMax 6
X11Forwarding no
UseDNS no
`);
  });
});

describe("dockerDaemon", () => {
  it("bounds logs and open files, forbids new privileges, and waits as long as the slowest stop", () => {
    expect(JSON.parse(dockerDaemon())).toEqual({
      "log-driver": "json-file",
      "log-opts": { "max-size": "10m", "max-file": "5" },
      "no-new-privileges": true,
      "default-ulimits": { nofile: { Name: "nofile", Soft: 16_384, Hard: 16_384 } },
      "default-address-pools": [{ base: "172.30.0.0/16", size: 24 }],
      "shutdown-timeout": 70,
    });
  });

  it("does not keep containers alive without the daemon, which a Swarm refuses", () => {
    expect(dockerDaemon()).not.toContain("live-restore");
  });

  it("is read again by a running daemon only: a first start reads it anyway", async () => {
    const calls = await fakeHost({ systemctl: "exit 3", docker: "exit 1" });

    expect(calls).toEqual(["systemctl is-active --quiet docker.service"]);
  });

  it("is read before anybody asks a service that the restart stopped", async () => {
    // Healthy at the third look.
    const docker = `case $1 in
      service) echo one ;;
      ps) echo x >> "$LOG.looks"; [ "$(wc -l < "$LOG.looks")" -lt 3 ] || echo abc ;;
    esac`;
    const calls = await fakeHost({ systemctl: "exit 0", docker, sleep: "exit 0" });

    expect(calls).toEqual([
      "systemctl is-active --quiet docker.service",
      "docker service ls --format {{.Name}}",
      "systemctl restart docker.service",
      ...Array.from({ length: 3 }).flatMap((_, look) => [
        ...(look > 0 ? ["sleep 1"] : []),
        "docker ps --quiet --filter label=com.docker.swarm.service.name=one --filter health=healthy",
      ]),
    ]);
  });
});

describe("sysctl", () => {
  it("lets Qdrant map many files and makes swap a cushion", () => {
    expect(sysctl().split("\n").slice(1)).toEqual([
      "fs.inotify.max_user_instances = 1024",
      "net.core.somaxconn = 4096",
      "vm.max_map_count = 262144",
      "vm.swappiness = 10",
      "",
    ]);
  });
});

describe("unattendedUpgrades", () => {
  it("runs daily, leaves Docker alone and never reboots", () => {
    expect(unattendedUpgrades().split("\n").slice(1)).toEqual([
      'APT::Periodic::Update-Package-Lists "1";',
      'APT::Periodic::Unattended-Upgrade "1";',
      'Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "runc"; };',
      'Unattended-Upgrade::Automatic-Reboot "false";',
      "",
    ]);
  });
});

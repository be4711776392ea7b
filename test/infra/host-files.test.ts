import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { describe, expect, it } from "vitest";

import { script } from "../../common/script.ts";
import { dockerDaemon, packageNames, sshd, sysctl, unattendedUpgrades } from "../../infra/host-files.ts";

const RESTART_DOCKER = script(new URL("../../infra/scripts/restart-docker.sh", import.meta.url));

/** Runs the restart with the given programs in place of the real ones; returns their calls. */
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
  const common = [
    "ca-certificates",
    "curl",
    "jq",
    "libcap2-bin",
    "nftables",
    "openssl",
    "pigz",
    "python3",
    "unattended-upgrades",
  ];

  it("takes Docker from the distribution", () => {
    expect(packageNames("distribution")).toEqual([...common, "docker.io"].sort());
  });

  it("takes Docker from Docker's own repository", () => {
    expect(packageNames("docker")).toEqual([...common, "containerd.io", "docker-ce", "docker-ce-cli"].sort());
  });

  it("has the exporter and what sends the journal only with monitoring", () => {
    expect(packageNames("distribution", { isMonitored: true })).toEqual(
      [...common, "docker.io", "prometheus-node-exporter", "systemd-journal-remote"].sort(),
    );
  });
});

describe("sshd", () => {
  it("admits keys only and named users only, with enough sessions for a parallel deployment", () => {
    const lines = sshd([2222], ["debian", "alice"]).split("\n");

    expect(lines.filter((line) => /^(Port|AllowUsers|Max(Startups|Sessions)) /.test(line))).toEqual([
      "Port 2222",
      "AllowUsers debian alice",
      "MaxStartups 60:30:120",
      "MaxSessions 60",
    ]);
    for (const forbidden of ["PasswordAuthentication", "KbdInteractiveAuthentication", "PermitRootLogin"]) {
      expect(lines).toContain(`${forbidden} no`);
    }
  });
});

describe("dockerDaemon", () => {
  it("bounds logs and open files, forbids new privileges, and waits as long as the slowest stop", () => {
    expect(JSON.parse(dockerDaemon())).toMatchObject({
      "log-opts": { "max-size": "10m", "max-file": "5" },
      "no-new-privileges": true,
      "default-ulimits": {
        core: { Name: "core", Soft: 0, Hard: 0 },
        nofile: { Name: "nofile", Soft: 16_384, Hard: 16_384 },
      },
      "shutdown-timeout": 70,
    });
  });

  it("does not keep containers alive without the daemon, which a Swarm refuses", () => {
    expect(dockerDaemon()).not.toContain("live-restore");
  });

  it("restarts a daemon that runs, and no other: a first start reads the settings anyway", async () => {
    const calls = await fakeHost({ systemctl: "exit 3", docker: "exit 1" });

    expect(calls).toEqual(["systemctl is-active --quiet docker.service"]);
  });

  it("waits after a restart until every service is healthy again", async () => {
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
    expect(sysctl()).toContain("\nvm.max_map_count = 262144\n");
    expect(sysctl()).toContain("\nvm.swappiness = 10\n");
  });
});

describe("unattendedUpgrades", () => {
  it("runs daily, leaves Docker alone and never reboots", () => {
    const text = unattendedUpgrades();

    expect(text).toContain('APT::Periodic::Unattended-Upgrade "1";');
    expect(text).toContain('Package-Blacklist { "docker"; "containerd"; "runc"; };');
    expect(text).toContain('Automatic-Reboot "false";');
  });
});

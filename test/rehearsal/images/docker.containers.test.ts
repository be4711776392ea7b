import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { run } from "../../../common/run.ts";
import { docker, ensureDocker, type Machine, planEngine, startEngine } from "../../../rehearsal/docker.ts";
import { isAlive } from "../../../common/is-alive.ts";
import { until } from "../../support/until.ts";

const FAILURE = "Cannot connect to the Docker daemon";

function machine(change: Partial<Machine> = {}): Machine {
  return {
    platform: "linux",
    isRoot: true,
    systems: ["debian"],
    hasEngineProgram: false,
    hasSystemd: false,
    dockerHost: undefined,
    ...change,
  };
}

describe("planEngine", () => {
  it("installs and starts the distribution's engine as root on Debian", () => {
    expect(planEngine(machine(), FAILURE)).toEqual(["install", "start"]);
  });

  it("leaves the start to systemd where it runs", () => {
    expect(planEngine(machine({ hasSystemd: true }), FAILURE)).toEqual(["install", "systemctl"]);
  });

  it("only starts an engine that is installed, on any system", () => {
    expect(planEngine(machine({ hasEngineProgram: true, systems: ["arch"] }), FAILURE)).toEqual(["start"]);
  });

  it("recognizes Ubuntu's derivatives by ID_LIKE", () => {
    expect(planEngine(machine({ systems: ["linuxmint", "ubuntu", "debian"] }), FAILURE)).toContain("install");
  });

  it.each([
    [
      "the user is not root",
      { isRoot: false },
      "type: sudo sh -c 'apt-get update && apt-get install --yes docker.io'",
    ],
    [
      "the user is not root and the engine is installed",
      { isRoot: false, hasEngineProgram: true, hasSystemd: true },
      "type: sudo systemctl enable --now docker",
    ],
    [
      "the system is another one",
      { systems: ["fedora"] },
      "install Docker Engine with this system's package manager",
    ],
    ["the platform is another one", { platform: "darwin" }, "expected Linux, got darwin"],
    [
      "DOCKER_HOST names an engine elsewhere",
      { dockerHost: "tcp://far:2375" },
      "start it or unset DOCKER_HOST",
    ],
  ])("fails when %s, with what to do", (_, change, told) => {
    const plan = () => planEngine(machine(change), FAILURE);

    expect(plan).toThrow(UserError);
    expect(plan).toThrow(told);
  });
});

describe("startEngine", () => {
  let folder: string;
  let log: string;
  let engine: number | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "technicia-engine-"));
    log = join(folder, "dockerd.log");
    // An engine without a bridge takes the machine's away, which belongs to the engine that runs: its own network, then.
    const program = (await run(["sh", "-c", "command -v dockerd"])).trim();
    await writeFile(join(folder, "dockerd"), `#!/bin/sh\nexec unshare --net ${program} "$@"\n`);
    await chmod(join(folder, "dockerd"), 0o755);
    vi.stubEnv("PATH", `${folder}:${process.env["PATH"] ?? ""}`);
  });

  afterEach(async () => {
    const pid = engine;
    engine = undefined;
    if (pid !== undefined) {
      process.kill(pid, "SIGTERM");
      await until("the engine has ended", () => !isAlive(pid));
    }
    await rm(folder, { recursive: true });
  });

  it("starts an engine in the background that answers when it is done", async () => {
    const host = `unix://${folder}/docker.sock`;
    const progress: string[] = [];
    const roots = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")];
    const apart = ["--bridge", "none", "--iptables=false", "--pidfile", join(folder, "pid"), "--host", host];
    engine = await startEngine({
      progress: (line) => progress.push(line),
      args: [...roots, ...apart],
      host,
      log,
    });

    await expect(docker(["--host", host, "ps", "--quiet"])).resolves.toBe("");
    expect(progress).toEqual([`starting dockerd (log: ${log})`]);
  });

  it("fails with the end of the log when the engine does not start", async () => {
    await writeFile(join(folder, "daemon.json"), "{ no json");
    const args = ["--config-file", join(folder, "daemon.json"), "--host", `unix://${folder}/docker.sock`];
    const started = startEngine({
      progress: () => undefined,
      args,
      host: `unix://${folder}/docker.sock`,
      log,
    });

    await expect(started).rejects.toThrow(
      /expected an engine that answers, got: it ended with exit code 1\n.*daemon\.json/s,
    );
    await expect(readFile(log, "utf8")).resolves.toContain("daemon.json");
  });
});

describe("ensureDocker", () => {
  it("leaves an engine that answers as it is", async () => {
    const progress: string[] = [];
    await ensureDocker({ progress: (line) => progress.push(line) });

    expect(progress).toEqual([]);
  });
});

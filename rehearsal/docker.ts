import { spawn } from "node:child_process";
import { existsSync, openSync, closeSync, readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";

import { cacheFolder } from "../common/cache-folder.ts";
import { run, type RunOptions } from "../common/run.ts";
import { until } from "../common/until.ts";
import { UserError } from "../common/user-error.ts";
import { aptCommand } from "./apt.ts";

const ENGINE_READY_MS = 60_000;
const LOG_LINES = 20;
const INSTALL = "apt-get update && apt-get install --yes docker.io";

/** Called with one line about what is being done now. */
export type Progress = (line: string) => void;

/** Runs `docker` and returns what it printed. */
export function docker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return run(["docker", ...args], options);
}

/** What this machine is, as far as getting a Docker engine goes. */
export interface Machine {
  readonly platform: string;
  readonly isRoot: boolean;

  /** Words of ID and ID_LIKE in /etc/os-release. */
  readonly systems: readonly string[];
  readonly hasEngineProgram: boolean;
  readonly hasSystemd: boolean;

  /** An engine elsewhere that the user chose. */
  readonly dockerHost: string | undefined;
}

/** Steps that get an engine running here, in order. Refuses, with the command to type, where we must not or cannot. */
export function planEngine(machine: Machine, failure: string): ("install" | "systemctl" | "start")[] {
  const got = `got "${lastLines(failure, 1).trim()}"`;
  if (machine.dockerHost !== undefined) {
    throw new UserError(
      `DOCKER_HOST: expected a Docker engine at ${machine.dockerHost}, ${got}; start it or unset DOCKER_HOST`,
    );
  }
  if (machine.platform !== "linux") {
    throw new UserError(`Docker: expected Linux, got ${machine.platform}; rehearse on a Linux machine`);
  }
  if (!machine.isRoot) {
    const start = machine.hasSystemd ? "sudo systemctl enable --now docker" : "sudo npm start";
    const command = machine.hasEngineProgram ? start : `sudo sh -c '${INSTALL}'`;
    throw new UserError(`Docker: expected an engine that this user may use, ${got}; type: ${command}`);
  }
  const start = machine.hasSystemd ? "systemctl" : "start";
  if (machine.hasEngineProgram) return [start];
  if (!machine.systems.some((system) => system === "debian" || system === "ubuntu")) {
    throw new UserError(
      `Docker: expected an engine, ${got}; install Docker Engine with this system's package manager and start it`,
    );
  }
  return ["install", start];
}

/** For the containers' resolvers, as RES_OPTIONS in bootstrap.mjs for this machine's. */
const PATIENT = ["--dns-opt", "timeout:2", "--dns-opt", "attempts:5"];

/** Makes sure that a Docker engine answers: the one that is there, else the distribution's own. */
export async function ensureDocker({ progress }: { progress: Progress }): Promise<void> {
  const failure = await engineFailure();
  if (failure === undefined) return;
  for (const step of planEngine(await readMachine(), failure)) {
    if (step === "install") await installEngine(progress);
    if (step === "systemctl") await run(["systemctl", "enable", "--now", "docker"]);
    if (step === "start") await startEngine({ progress, args: PATIENT });
  }
  const still = await engineFailure();
  if (still !== undefined) throw new UserError(`Docker: expected an engine that answers, got "${still}"`);
}

/** Starts the engine as a background process of its own and waits until it answers. Returns its process id. */
export async function startEngine(options: {
  readonly progress: Progress;

  /** Further arguments of dockerd. @default none */
  readonly args?: readonly string[];

  /** Socket to ask. @default Docker's own */
  readonly host?: string;
  readonly log?: string;
}): Promise<number> {
  const log = options.log ?? join(cacheFolder(), "dockerd.log");
  await mkdir(dirname(log), { recursive: true });
  options.progress(`starting dockerd (log: ${log})`);
  const output = openSync(log, "a");
  const engine = spawn("dockerd", options.args ?? [], { detached: true, stdio: ["ignore", output, output] });
  closeSync(output);
  let end: string | undefined;
  engine.on("error", (error) => (end = error.message));
  engine.on("exit", (code, signal) => (end = `it ended with ${signal ?? `exit code ${code}`}`));
  engine.unref();
  const { pid } = engine;
  await until(
    async () => {
      const failure = await engineFailure(options.host);
      if (failure !== undefined && end !== undefined) throw describeEnd(end, log);
      return failure === undefined;
    },
    {
      limit: ENGINE_READY_MS,
      late: () => describeEnd(end ?? `no answer within ${ENGINE_READY_MS / 1000} s`, log),
    },
  );
  if (pid === undefined) throw describeEnd(end ?? "no process", log);
  return pid;
}

function describeEnd(end: string, log: string): UserError {
  const lines = lastLines(existsSync(log) ? readFileSync(log, "utf8") : "");
  return new UserError(`dockerd: expected an engine that answers, got: ${end}\n${lines}`);
}

async function installEngine(progress: Progress): Promise<void> {
  progress("no Docker engine answers: installing docker.io with apt");
  // Recommended packages hold what the engine needs on most machines (apparmor, cgroup mounts).
  await run(aptCommand(["docker.io"], { recommends: true }), { onLine: progress });
}

async function engineFailure(host?: string): Promise<string | undefined> {
  const where = host === undefined ? [] : ["--host", host];
  try {
    await docker([...where, "version", "--format", "{{.Server.Version}}"]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function readMachine(): Promise<Machine> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return {
    platform: process.platform,
    isRoot: process.getuid?.() === 0,
    systems: [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)/gm)].flatMap((match) =>
      (match[1] ?? "").split(" "),
    ),
    hasEngineProgram: folders.some((folder) => existsSync(join(folder, "dockerd"))),
    hasSystemd: existsSync("/run/systemd/system"),
    dockerHost: process.env["DOCKER_HOST"],
  };
}

function lastLines(text: string, count = LOG_LINES): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

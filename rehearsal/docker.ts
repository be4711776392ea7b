import { spawn } from "node:child_process";
import { existsSync, openSync, closeSync, readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { cacheFolder } from "../common/cache-folder.ts";
import { UserError } from "../common/user-error.ts";
import { aptCommand } from "./apt.ts";

const ENGINE_READY_MS = 60_000;
const POLL_MS = 200;
const TOLD_LINES = 20;
const INSTALL = "apt-get update && apt-get install --yes docker.io";

/** Told one line about what is being done now. */
export type Progress = (line: string) => void;

export interface CommandOptions {
  /** Text for the command's standard input. @default nothing, closed */
  readonly stdin?: string;
  readonly cwd?: string;

  /** Added to this process's environment. */
  readonly environment?: Readonly<Record<string, string>>;

  /** Ends the command when it is aborted. */
  readonly signal?: AbortSignal;

  /** Told each line that the command prints, on either stream. */
  readonly onLine?: Progress;
}

/** Runs `docker` and returns what it printed. */
export function docker(args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return run("docker", args, options);
}

/** Runs a program to its end and returns its standard output; throws with its last lines of standard error. */
export function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const environment = { ...process.env, ...options.environment };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: environment,
      stdio: "pipe",
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let stdout = "";
    let stderr = "";
    const hear = (stream: NodeJS.ReadableStream, keep: (text: string) => void): void => {
      let rest = "";
      stream.setEncoding("utf8").on("data", (text: string) => {
        keep(text);
        const lines = (rest + text).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines) if (line.trim() !== "") options.onLine?.(line);
      });
    };
    hear(child.stdout, (text) => (stdout += text));
    hear(child.stderr, (text) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(stdout);
      const said = lastLines(stderr.trim() === "" ? stdout : stderr);
      const verb = [command, ...args.slice(0, 2)].join(" ");
      reject(new Error(`${verb}: expected success, got ${signal ?? `exit code ${code}`}\n${said}`));
    });
    // A command that ends without reading its input is judged by its exit code, not by the broken pipe.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin);
  });
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

/** For the containers' resolvers, as in bootstrap.mjs for what runs beside them. */
const PATIENT = ["--dns-opt", "timeout:2", "--dns-opt", "attempts:5"];

/** Makes sure that a Docker engine answers: the one that is there, else the distribution's own. */
export async function ensureDocker({ progress }: { progress: Progress }): Promise<void> {
  const failure = await engineFailure();
  if (failure === undefined) return;
  for (const step of planEngine(await readMachine(), failure)) {
    if (step === "install") await installEngine(progress);
    if (step === "systemctl") await run("systemctl", ["enable", "--now", "docker"]);
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
  const deadline = Date.now() + ENGINE_READY_MS;
  for (;;) {
    const failure = await engineFailure(options.host);
    if (failure === undefined && engine.pid !== undefined) return engine.pid;
    if (end === undefined && Date.now() > deadline) end = `no answer within ${ENGINE_READY_MS / 1000} s`;
    if (end !== undefined) {
      const lines = lastLines(existsSync(log) ? readFileSync(log, "utf8") : "");
      throw new UserError(`dockerd: expected an engine that answers, got: ${end}\n${lines}`);
    }
    await wait(POLL_MS);
  }
}

async function installEngine(progress: Progress): Promise<void> {
  progress("no Docker engine answers: installing docker.io with apt");
  // Recommended packages hold what the engine needs on most machines (apparmor, cgroup mounts).
  await run(...aptCommand(["docker.io"], { recommends: true }), { onLine: progress });
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

function lastLines(text: string, count = TOLD_LINES): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { createInterface } from "node:readline";

import { UserError } from "./user-error.ts";

export interface RunOptions {
  /** Text for the program's standard input. @default nothing, closed */
  readonly input?: string;
  readonly cwd?: string;

  /** Added to this process's own variables; `undefined` removes one. */
  readonly environment?: Readonly<Record<string, string | undefined>>;

  /** Called with the program's process id once it runs. */
  readonly onStart?: (pid: number) => void;

  /** Called with each line that the program prints, on either stream. */
  readonly onLine?: (line: string) => void;

  /** Sends `stopWith` when it is aborted. The program is waited for in any case. */
  readonly signal?: AbortSignal;

  /** @default SIGINT, as Ctrl-C sends */
  readonly stopWith?: NodeJS.Signals;

  /**
   * Gives the program a process group of its own, so that Ctrl-C at the terminal does not reach it. `stopWith` then goes to the whole group,
   * because a launcher in front of the program may pass no signal on. @default false
   */
  readonly ownGroup?: boolean;

  /** Connects the program to this process's terminal instead of keeping what it prints. @default false */
  readonly terminal?: boolean;

  /** Message of the `UserError` for a missing program. @default one that says to install it */
  readonly missing?: string;
}

export interface Ended {
  /** Exit code; 128 + the signal's number when a signal ended the program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program ended with another exit code than 0. */
export class RunFailure extends Error {
  override readonly name = "RunFailure";
  readonly ended: Ended;

  constructor([program, ...args]: readonly string[], ended: Ended) {
    const printed = ended.stderr.trim() || ended.stdout.trim();
    const command = [program, ...args.slice(0, 2)].join(" ");
    super(
      `${command}: expected exit code 0, got ${ended.code}\n${printed.split("\n").slice(-20).join("\n")}`,
    );
    this.ended = ended;
  }
}

/** Runs a program to its end and returns its standard output; throws `RunFailure` unless it ends with 0. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const ended = await tryRun(command, options);
  if (ended.code !== 0) throw new RunFailure(command, ended);
  return ended.stdout;
}

/** The same for programs whose failure the user can fix. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const ended = await tryRun(command, options);
  options.signal?.throwIfAborted();
  if (ended.code !== 0)
    throw new UserError(`${command.slice(0, 2).join(" ")}: ${lastWords(ended)}; fix this and retry`);
  return ended.stdout;
}

type Printed = Pick<Ended, "stdout" | "stderr">;

/** The last line that a program printed, which says why it failed. */
export function lastWords(printed: Printed): string {
  return lastLines(printed).split("\n").at(-1) || "it printed nothing";
}

export function lastLines({ stdout, stderr }: Printed): string {
  return (stderr.trim() || stdout.trim()).split("\n").slice(-20).join("\n");
}

/** Runs a program to its end, whatever its exit code; a `UserError` says that it is missing. */
export function tryRun(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { cwd, environment, input, onLine, signal, stopWith = "SIGINT" } = options;
  const [program = "", ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...environment },
      detached: options.ownGroup ?? false,
      stdio: options.terminal === true ? "inherit" : "pipe",
    });
    const printed = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      const stream = child[name];
      stream?.setEncoding("utf8").on("data", (text: string) => (printed[name] += text));
      if (stream && onLine) createInterface({ input: stream }).on("line", onLine);
    }
    // A program that ends without reading its input is judged by its exit code.
    child.stdin?.on("error", () => undefined).end(input);

    const stop = () => {
      if (options.ownGroup === true && child.pid !== undefined) signalGroup(child.pid, stopWith);
      else child.kill(stopWith);
    };
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted === true) stop();
    if (child.pid !== undefined) options.onStart?.(child.pid);
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? describeMissing(program, options) : error);
    });
    child.on("close", (code, ending) => {
      signal?.removeEventListener("abort", stop);
      resolve({ code: code ?? 128 + constants.signals[ending ?? "SIGKILL"], ...printed });
    });
  });
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // It has just ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A folder to run in that does not exist gives the same error, and is an internal one. */
function describeMissing(program: string, { cwd, missing }: RunOptions): Error {
  if (cwd !== undefined && !existsSync(cwd))
    return new Error(`${program}: expected the folder ${cwd}, got none`);
  return new UserError(missing ?? `${program}: expected this program on PATH, got none; install it`);
}

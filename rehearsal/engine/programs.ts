import { execFile } from "node:child_process";

/** What a program of somebody else's ended with. */
export interface Ended {
  readonly ok: boolean;
  readonly stdout: string;

  /** Last line of what it said, or why it could not be run. */
  readonly reason: string;
}

/** Where and how long a program may run. */
export interface RunOptions {
  readonly seconds: number;
  readonly environment?: NodeJS.ProcessEnv;
  readonly folder?: string;
}

/** Runs a program to its end; never throws, since "it is not there" is an answer here. */
export function runProgram(command: readonly [string, ...string[]], options: RunOptions): Promise<Ended> {
  const [file, ...args] = command;
  const settings = {
    timeout: options.seconds * 1000,
    killSignal: "SIGKILL" as const,
    env: options.environment ?? process.env,
    maxBuffer: 16 * 1024 * 1024,
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
  };

  return new Promise((resolve) => {
    execFile(file, args, settings, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, reason: readReason(error, stderr) });
    });
  });
}

function readReason(error: (Error & { killed?: boolean }) | null, stderr: string): string {
  if (error?.killed === true) {
    return "no answer in time";
  }
  const lines = stderr.trim().split("\n");
  return lines.at(-1) || (error?.message ?? "");
}

import { access, constants } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { type RunOptions, tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

/** Where npm puts the programs of the packages: among them the Node.js that everything of ours runs on. */
export const NPM_PROGRAMS = fileURLToPath(new URL("../../node_modules/.bin", import.meta.url));

/** Whether `file` exists and may be run. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** What a third-party program answered. */
export interface Answer {
  readonly ok: boolean;
  readonly stdout: string;

  /** Last line of what it printed, or why it could not be run. */
  readonly reason: string;
}

/** Runs a program for at most some seconds. Never throws: a program that is missing is an answer, too. */
export async function askProgram(
  command: readonly string[],
  { seconds, ...options }: { readonly seconds: number } & Pick<RunOptions, "cwd" | "environment">,
): Promise<Answer> {
  const signal = AbortSignal.timeout(seconds * 1000);
  try {
    const { code, stdout, stderr } = await tryRun(command, { ...options, signal, stopWith: "SIGKILL" });
    const lastLine = stderr.trim().split("\n").at(-1) || `exit code ${code}`;
    return { ok: code === 0, stdout, reason: signal.aborted ? "no answer in time" : lastLine };
  } catch (error) {
    const isMissing = error instanceof UserError;
    if (!isMissing && (error as NodeJS.ErrnoException).code === undefined) throw error;
    return { ok: false, stdout: "", reason: isMissing ? "no such program" : (error as Error).message };
  }
}

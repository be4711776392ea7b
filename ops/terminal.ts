/** The person at the terminal: progress, questions, and Ctrl-C. */
import { createInterface } from "node:readline/promises";

import { UserError } from "../common/user-error.ts";

/** Prints progress. Standard output is kept for the command's result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Turns Ctrl-C and SIGTERM into an abort, so that the command can finish and record what it began. */
export async function untilStopped<T>(work: (stop: AbortController) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(interrupted());
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  try {
    return await work(stop);
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

/** Asks a yes/no question; without a terminal it fails and names `--yes`. */
export async function confirm(question: string, stop: AbortController): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UserError(
      `nobody can answer "${question}": this is not a terminal; read the plan and add --yes`,
    );
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // While readline reads, it receives Ctrl-C and the process does not.
  lines.on("SIGINT", () => stop.abort(interrupted()));
  try {
    const answer = await lines.question(`${question} (yes/no) `, { signal: stop.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    stop.signal.throwIfAborted();
    throw error;
  } finally {
    lines.close();
  }
}

function interrupted(): UserError {
  return new UserError("interrupted by the operator");
}

/** Writes the requests and reads the answers of remote-shell.sh, where their grammar is documented. */
import { script as readScript } from "../../common/script.ts";
import { shellQuote } from "../../common/shell-quote.ts";

export interface Program {
  /** Bash, run with `set -euo pipefail`. */
  readonly script: string;
  /** Shell variables, not exported. */
  readonly variables: Readonly<Record<string, string>>;
  /** What the script reads from its standard input; nothing when undefined. */
  readonly stdin: string | Buffer | undefined;
  /** Random; separates the program's output from everything else on the same stream. */
  readonly mark: string;
}

/** What a program printed on one of its outputs, and how it ended. */
export interface Ending {
  readonly text: string;
  readonly code: number;
  /** Whether processes that it started still run and may still print. */
  readonly leftProcessesRunning: boolean;
}

/** Bash that runs programs, sent once over each channel. */
export const SHELL = readScript(new URL("remote-shell.sh", import.meta.url));

// Proves that the program arrived whole: half of one must not run.
const SEAL = "#sealed";

/** The request that runs a program. */
export function renderRequest({ script, variables, stdin, mark }: Program): string {
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${shellQuote(value)}`);
  const program = [...assignments, "set -euo pipefail", script, SEAL].join("\n");
  const input = Buffer.from(stdin ?? "").toString("base64");
  return `${mark} ${Buffer.byteLength(program)} ${input.length}\n${program}${input}`;
}

/** Offset at which the program's output begins; undefined until then. */
export function findBeginning(output: Buffer, mark: string): number | undefined {
  const line = `\n${mark} begin\n`;
  const start = output.indexOf(line);
  return start < 0 ? undefined : start + line.length;
}

/** The program's output and how it ended; undefined until it has ended. */
export function readEnding(output: Buffer, mark: string): Ending | undefined {
  const line = `\n${mark} end `;
  const start = output.lastIndexOf(line);
  if (start < 0) return undefined;
  const match = /^(\d+) ([01])\n/.exec(output.subarray(start + line.length).toString("latin1"));
  if (match === null) return undefined;
  const from = findBeginning(output, mark) ?? 0;
  return {
    text: output.subarray(Math.min(from, start), start).toString("utf8"),
    code: Number(match[1]),
    leftProcessesRunning: match[2] === "1",
  };
}

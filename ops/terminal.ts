/** The person at the terminal: progress, questions, Ctrl-C, and tables. */
import { createInterface } from "node:readline/promises";

import { UserError } from "../common/user-error.ts";

/** Prints progress. Standard output is kept for the command's result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Turns Ctrl-C and SIGTERM into an abort, so that the command can finish and record what it began. */
export async function untilStopped<T>(work: (stop: AbortController) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => {
    if (!stop.signal.aborted) say("interrupted: ending in order, which may take a minute");
    stop.abort(interrupted());
  };
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

/** Tables at the terminal. */

const GAP = "  ";

/** Below this a column is unreadable; a terminal that is too narrow wraps the lines itself. */
const NARROWEST = 8;

export interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];

  /** @default the terminal's, or 100 where the output goes elsewhere */
  readonly width?: number;
}

/** Columns are as wide as their widest cell; where the terminal has less space, the widest ones are wrapped. */
export function renderTable({ headings, rows, width = process.stdout.columns ?? 100 }: Table): string {
  const cells = [headings, ...rows].map((row) => headings.map((_, column) => linesOf(row[column] ?? "")));
  const natural = headings.map((_, column) =>
    Math.max(...cells.flatMap((row) => row[column]!.map((line) => line.length))),
  );
  const widths = fit(natural, width - GAP.length * (headings.length - 1));
  const [head = "", ...body] = cells.map((row) => renderRow(row, widths));
  return [head, widths.map((each) => "─".repeat(each)).join(GAP), ...body].join("\n");
}

function fit(natural: readonly number[], available: number): number[] {
  let limit = Math.max(...natural);
  const limited = () => natural.map((each) => Math.min(each, limit));
  while (limit > NARROWEST && limited().reduce((sum, each) => sum + each, 0) > available) limit -= 1;
  return limited();
}

function renderRow(row: readonly (readonly string[])[], widths: readonly number[]): string {
  const wrapped = row.map((lines, column) => lines.flatMap((line) => wrap(line, widths[column]!)));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_, index) =>
    wrapped
      .map((lines, column) => (lines[index] ?? "").padEnd(widths[column]!))
      .join(GAP)
      .trimEnd(),
  ).join("\n");
}

/** Breaks at spaces, and inside words that are longer than a line. */
function wrap(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const space = text.lastIndexOf(" ", width);
  const end = space > 0 ? space : width;
  return [text.slice(0, end).trimEnd(), ...wrap(text.slice(end).trimStart(), width)];
}

function linesOf(cell: string): string[] {
  return cell.trim().split(/\s*\n\s*/);
}

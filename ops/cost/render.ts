/** The costs as rows of a table, and as one sentence. */
import { sumOf, type Amount, type Cost, type CostLine } from "../../common/cost.ts";
import type { CostChange } from "./read.ts";

/** Cells of one line: what it is, its name, the cost before and after, and whose price it is or why there is none. */
export interface CostRow {
  readonly what: string;
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly source: string;
}

export interface CostTable {
  readonly rows: readonly CostRow[];

  /** In one sentence: the sum, the difference, the ceiling, and what is paid once. */
  readonly summary: string;

  /** Whether the change alters the cost. */
  readonly differs: boolean;
}

export function costTable({ before, after, ceiling }: CostChange): CostTable {
  const keys = [...new Set([...(before?.lines ?? []), ...after.lines].map(keyOf))];
  const rows = keys.map((key): CostRow => {
    const [old, now] = [before, after].map((cost) => cost?.lines.find((line) => keyOf(line) === key));
    const { what, name } = (now ?? old)!;
    const { source } = now ?? old!;
    return { what, name, before: cell(old), after: cell(now), source: reasonOf(now ?? old!) || source };
  });
  const differs = before !== undefined && rows.some((row) => row.before !== row.after);
  return { rows, summary: [...summarize({ before, after, ceiling })].join("; "), differs };
}

function* summarize({ before, after, ceiling }: CostChange): Generator<string> {
  const difference = before && sumOf(after).euros - sumOf(before).euros;
  const isKnown = before !== undefined && !isOpen(before) && !isOpen(after);
  const change =
    difference === undefined || !isKnown || Math.abs(difference) < 0.005
      ? ""
      : ` (${difference > 0 ? "+" : "−"}${euros(Math.abs(difference))})`;
  yield `${describeSum(after)} a month without VAT${change}`;
  if (after.once > 0) yield `${euros(after.once)} once`;
  if (ceiling !== undefined) yield `the ceiling is ${euros(ceiling)}`;
}

/** `€8.79`, `at least €0.80`, `unknown`. */
export function describeSum(cost: Cost): string {
  const { euros: known, unknown } = sumOf(cost);
  if (unknown.length === 0) return euros(known);
  return known > 0 ? `at least ${euros(known)}` : "unknown";
}

/** The priced lines, for a sentence. */
export function listLines({ lines }: Cost): string {
  return lines
    .flatMap(({ what, name, monthly }) =>
      monthly.kind === "euros" ? [`${what} ${name} ${renderAmount(monthly)}`] : [],
    )
    .join(", ");
}

export function euros(amount: number): string {
  return `€${amount.toFixed(2)}`;
}

function isOpen(cost: Cost): boolean {
  return sumOf(cost).unknown.length > 0;
}

function keyOf({ what, name }: CostLine): string {
  return `${what} ${name}`;
}

function cell(line: CostLine | undefined): string {
  return line === undefined ? "–" : renderAmount(line.monthly);
}

function renderAmount(amount: Amount): string {
  if (amount.kind === "unknown") return "unknown";
  if (amount.kind === "not-estimated") return "not estimated";
  return amount.euros > 0 && amount.euros < 0.01 ? "less than €0.01" : euros(amount.euros);
}

function reasonOf({ monthly }: CostLine): string {
  return monthly.kind === "euros" ? "" : monthly.why;
}

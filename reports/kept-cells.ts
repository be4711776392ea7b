/** Merges rows from facts into tables that people edit too. */
import { createHash } from "node:crypto";

import { escapeInline, type MarkdownFile, type Row, type Table } from "./markdown.ts";

/**
 * What facts write into a cell.
 *
 * Text: always. `fact`: always, and it is removed with the fact. `proposal`: only where no person has written.
 * Undefined: never.
 */
export type Cell = string | { readonly fact: string } | { readonly proposal: string } | undefined;

export type Cells = Readonly<Record<string, Cell>>;

const NOTE = "empreintes des cellules remplies par npm run report :";
const BLANK = new Set(["", "-", "–", "—", "N/A", "À compléter"]);

/** Recognises cells that an earlier run wrote by their fingerprints, so that an edited cell counts as a person's. */
export class Fingerprints {
  readonly #before: ReadonlySet<string>;
  readonly #now = new Set<string>();

  constructor(text: string) {
    const [, list = ""] = new RegExp(`<!-- ${NOTE}([^>]*)-->`).exec(text) ?? [];
    this.#before = new Set(list.trim().split(/\s+/));
  }

  isOurs(place: readonly string[], text: string): boolean {
    return this.#before.has(fingerprint(place, text));
  }

  keep(place: readonly string[], text: string): void {
    this.#now.add(fingerprint(place, text));
  }

  /** Puts the fingerprints of this run at the end of the file, where no reader of the page sees them. */
  writeTo(file: MarkdownFile): void {
    const comment = `<!-- ${NOTE} ${[...this.#now].sort().join(" ")} -->`;
    const old = file.root.children.find(
      (node) => node.type === "html" && node.value.startsWith(`<!-- ${NOTE}`),
    );
    const end = file.text.length;
    const [start, stop] = [old?.position?.start.offset ?? end, old?.position?.end.offset ?? end];
    if (this.#now.size === 0) file.replace(start, stop, "");
    else file.replace(start, stop, old ? comment : `\n\n${comment}\n`);
  }
}

function fingerprint(place: readonly string[], text: string): string {
  return createHash("sha256")
    .update([...place, normal(text)].join("\0"))
    .digest("hex")
    .slice(0, 8);
}

// The formatter may remove an escape, which readers do not see.
function normal(text: string): string {
  return text.replaceAll("\\", "").replace(/\s+/g, " ").trim();
}

export interface MergedTable {
  /** Heading above the table. */
  readonly title: string;
  readonly columns: readonly string[];
  /** Columns that identify a row. */
  readonly key: readonly string[];
  readonly rows: readonly Cells[];

  /** Whether people have rows of their own with one key in it, as in a list of dates. @default false */
  readonly repeats?: boolean;

  /** Rows whose facts are gone. They are removed, except where a person has written into a column that they leave to people. @default none */
  readonly gone?: readonly Cells[];

  /** Rows of ours, by their cells as people read them, whose facts are gone and whose keys nobody knows any more. @default none */
  readonly isGone?: (row: Readonly<Record<string, string>>) => boolean;
}

/** Writes rows into the table of the file; cells, rows and text of people stay. */
export function mergeTable(file: MarkdownFile, marks: Fingerprints, wanted: MergedTable): void {
  const table = file.table(wanted.title, wanted.columns);
  if (!table) return;
  const present = readRows(file, table, wanted);
  const kept = new Map<string, Row[]>();
  let after = "";
  const keys = new Set(wanted.rows.map((row) => keyOfCells(row, wanted.key)));
  for (const [key, row] of present) {
    if (keys.has(key)) after = key;
    else if (!isGone(row, table, wanted)) kept.set(after, [...(kept.get(after) ?? []), row]);
  }
  const rows = [
    ...(kept.get("") ?? []).map(({ cells }) => cells),
    ...wanted.rows.flatMap((cells) => {
      const key = keyOfCells(cells, wanted.key);
      const merged = wanted.columns.map((column, index) =>
        mergeCell(cells[column], {
          present: present.get(key)?.cells[index] ?? "-",
          marks,
          place: [wanted.title, key, column],
        }),
      );
      return [merged, ...(kept.get(key) ?? []).map((row) => row.cells)];
    }),
  ];
  file.replaceTable(table, rows.length === 0 ? [wanted.columns.map(() => "-")] : rows);
}

function isGone({ plain }: Row, { columns }: Table, { key, gone = [], isGone: also }: MergedTable): boolean {
  const cellOf = (column: string) => plain[columns.indexOf(column)] ?? "";
  if (also?.(Object.fromEntries(columns.map((column) => [column, cellOf(column)]))) === true) return true;
  const name = key.map((column) => keyText(cellOf(column))).join(" | ");
  return gone.some(
    (row) =>
      keyOfCells(row, key) === name &&
      columns.every((column) => row[column] !== undefined || isBlank(cellOf(column))),
  );
}

function readRows(file: MarkdownFile, table: Table, merged: MergedTable): Map<string, Row> {
  const { title, key, repeats = false } = merged;
  const rows = new Map<string, Row>();
  const ours = new Set(merged.rows.map((row) => keyOfCells(row, key)));
  const places = key.map((column) => table.columns.indexOf(column));
  for (const row of table.rows) {
    // A row of dashes stands for an empty table.
    if (row.plain.every(isBlank)) continue;
    const name = places.map((place) => keyText(row.plain[place] ?? "")).join(" | ");
    if (repeats && !ours.has(name)) {
      rows.set(`${name} | ${row.line}`, row);
      continue;
    }
    const twin = rows.get(name);
    if (twin) {
      file.complain(
        row.line,
        `expected one row ${JSON.stringify(name)} in the table of ${JSON.stringify(title)}, got it in line ${twin.line} too; keep one`,
      );
    }
    rows.set(name, row);
  }
  return rows;
}

function mergeCell(
  cell: Cell,
  { present, marks, place }: { present: string; marks: Fingerprints; place: readonly string[] },
): string {
  if (cell === undefined) return present;
  if (typeof cell === "string") return cell;
  const text = "fact" in cell ? cell.fact : cell.proposal;
  if ("proposal" in cell && !isBlank(present) && !marks.isOurs(place, present)) return present;
  if (!isBlank(text)) marks.keep(place, escapeInline(text));
  return isBlank(text) ? text || "-" : escapeInline(text);
}

export function isBlank(text: string): boolean {
  return BLANK.has(text.trim());
}

function keyOfCells(cells: Cells, key: readonly string[]): string {
  return key
    .map((column) => {
      const cell = cells[column];
      return typeof cell === "string" ? keyText(cell) : "";
    })
    .join(" | ");
}

// A step is the same step whether or not somebody made it bold, or dropped its dash.
function keyText(text: string): string {
  return text
    .replaceAll("*", "")
    .replace(/^[-–]\s+/, "")
    .trim();
}

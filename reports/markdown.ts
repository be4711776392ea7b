/** A Markdown file that people and programs write: read as a tree, changed only where a program changes it. */
import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, relative } from "node:path";

import type { Heading, Nodes, Root, RootContent, Table as TableNode } from "mdast";
import { format, resolveConfig } from "prettier";
import remarkGfm from "remark-gfm";
import remarkParse from "remark-parse";
import { unified } from "unified";

import { UserError } from "../common/user-error.ts";

const parser = unified().use(remarkParse).use(remarkGfm);

export interface Section {
  readonly heading: Heading;
  /** Everything below its heading, subsections included. */
  readonly nodes: readonly RootContent[];
}

export interface Row {
  readonly line: number;
  /** As written in the file. */
  readonly cells: readonly string[];
  /** As read by a person. */
  readonly plain: readonly string[];
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly node: TableNode;
}

export class MarkdownFile {
  readonly path: string;
  readonly text: string;
  readonly root: Root;
  readonly #problems: string[] = [];
  readonly #edits: { readonly start: number; readonly end: number; readonly text: string }[] = [];

  constructor(path: string, text: string) {
    this.path = path;
    // The parser leaves a byte order mark of Windows out, so its places would be wrong by one.
    this.text = text.replace(/^\ufeff/, "");
    this.root = parser.parse(this.text);
  }

  /** Collects a problem; `refuseProblems` throws all of them. */
  complain(line: number, problem: string): void {
    this.#problems.push(`${shownPath(this.path)}:${line}: ${problem}`);
  }

  /** Throws every complaint at once; the file is as it was. */
  refuseProblems(): void {
    if (this.#problems.length > 0) throw new UserError(this.#problems.join("\n"));
  }

  /** The only section of that title; complains and gives nothing when there is none, or more than one. */
  section(title: string): Section | undefined {
    const found = this.root.children.flatMap((node, index) =>
      node.type === "heading" && plainText(node) === title ? [{ node, index }] : [],
    );
    const [only, second] = found;
    if (only === undefined) {
      this.complain(1, `expected a heading ${JSON.stringify(title)}, got none; put it back as it was`);
      return undefined;
    }
    if (second !== undefined) {
      this.complain(
        lineOf(second.node),
        `expected one heading ${JSON.stringify(title)}, got another; remove one`,
      );
      return undefined;
    }
    const rest = this.root.children.slice(only.index + 1);
    const next = rest.findIndex((node) => node.type === "heading" && node.depth <= only.node.depth);
    return { heading: only.node, nodes: next === -1 ? rest : rest.slice(0, next) };
  }

  /** Puts the text below the heading, in place of the quotation that says that there is nothing yet. */
  replaceQuote({ heading, nodes }: Section, text: string): void {
    const quote = nodes.find((node) => node.type === "blockquote");
    if (quote) this.replace(startOf(quote), endOf(quote), text);
    else this.replace(endOf(heading), endOf(heading), `\n\n${text}`);
  }

  /** The table of a section; complains of a broken one and gives nothing. */
  table(title: string, columns: readonly string[]): Table | undefined {
    const section = this.section(title);
    if (!section) return undefined;
    const broken = section.nodes.find((node) => node.type === "paragraph" && plainText(node).startsWith("|"));
    if (broken) {
      this.complain(
        lineOf(broken),
        `expected a row of the table of ${JSON.stringify(title)}, got a line outside it; ` +
          "a table has a heading row, a row of dashes with as many columns, and no empty line in it",
      );
      return undefined;
    }
    const node = section.nodes.find((candidate) => candidate.type === "table");
    if (!node) {
      this.complain(
        lineOf(section.heading),
        `expected a table (${columns.join(" | ")}) under ${JSON.stringify(title)}, got none; put it back`,
      );
      return undefined;
    }
    return this.#readTable(node, columns);
  }

  #readTable(node: TableNode, columns: readonly string[]): Table | undefined {
    const [head, ...rows] = node.children.map((row): Row => ({
      line: lineOf(row),
      cells: row.children.map((cell) => this.#sourceOf(cell.children)),
      plain: row.children.map(plainText),
    }));
    if (head?.plain.join(" | ") !== columns.join(" | ")) {
      this.complain(
        lineOf(node),
        `expected the columns ${columns.join(" | ")}, got ${head?.plain.join(" | ") ?? "none"}; name them as they were`,
      );
      return undefined;
    }
    const wrong = rows.filter((row) => row.cells.length !== columns.length);
    for (const { line, cells } of wrong) {
      this.complain(
        line,
        `expected ${columns.length} cells, got ${cells.length}; ` +
          "give the row one cell for each column, and write a | inside a cell as \\|",
      );
    }
    return wrong.length > 0 ? undefined : { columns, rows, node };
  }

  #sourceOf(nodes: readonly Nodes[]): string {
    const [first, last] = [nodes.at(0), nodes.at(-1)];
    return first && last ? this.text.slice(startOf(first), endOf(last)).trim() : "";
  }

  replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text });
  }

  replaceTable({ node, columns }: Table, rows: readonly (readonly string[])[]): void {
    this.replace(startOf(node), endOf(node), renderMarkdownTable(columns, rows, node.align ?? []));
  }

  /** The changed text, in the formatting that `npm run fix` gives. */
  async render(): Promise<string> {
    this.refuseProblems();
    const edits = this.#edits.toSorted((one, other) => other.start - one.start);
    const text = edits.reduce(
      (changed, edit) => changed.slice(0, edit.start) + edit.text + changed.slice(edit.end),
      this.text,
    );
    return formatMarkdown(this.path, text);
  }
}

/** The path as a person in the project's folder would type it. */
export function shownPath(path: string): string {
  const short = relative("", path);
  return short.startsWith("..") ? path : short;
}

export async function formatMarkdown(path: string, text: string): Promise<string> {
  return format(text, { ...(await resolveConfig(path)), parser: "markdown" });
}

export function renderMarkdownTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ("left" | "right" | "center" | null)[] = [],
): string {
  const dashes = { left: ":--", right: "--:", center: ":-:" };
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(columns),
    line(columns.map((_, index) => (align[index] ? dashes[align[index]] : "---"))),
    ...rows.map(line),
  ].join("\n");
}

/** Text that Markdown shows as it is, on one line, in a table cell too. */
export function escapeInline(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_[\]<>|~]/g, String.raw`\$&`)
    .replace(/&(?=#?\w+;)/g, String.raw`\&`);
}

export function plainText(node: Nodes): string {
  if ("value" in node) return node.value;
  if (node.type === "break") return "\n";
  return "children" in node ? node.children.map(plainText).join("") : "";
}

export function lineOf(node: Nodes): number {
  return node.position?.start.line ?? 1;
}

export function startOf(node: Nodes): number {
  return node.position?.start.offset ?? 0;
}

export function endOf(node: Nodes): number {
  return node.position?.end.offset ?? 0;
}

/** Replaces the file in one step, so that a reader sees the old one or the new one. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(beside, text);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === undefined ? error : new UserError(`${path}: expected a file to write, got ${message}`);
  }
}

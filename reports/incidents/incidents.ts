/** The entries of the team's "Suivi des Problèmes", read strictly, so that nothing that people wrote is lost. */
import type { Heading, Nodes, RootContent } from "mdast";

import { isBlank } from "../kept-cells.ts";
import { ENVIRONMENTS, type EnvironmentName } from "../labels-fr.ts";
import { endOf, lineOf, plainText, startOf, type MarkdownFile } from "../markdown.ts";

export const statuses = ["Ouvert", "Résolu", "Contourné"] as const;
export const priorities = ["Basse", "Moyenne", "Haute", "Critique"] as const;
export const categories = [
  "Configuration",
  "Réseau",
  "Sécurité",
  "Performance",
  "Compatibilité",
  "Autres",
] as const;

export type Status = (typeof statuses)[number];
export type Priority = (typeof priorities)[number];
export type Category = (typeof categories)[number];

/** The bold fields of an entry, in the document's order. */
export const fields = [
  "Environnement",
  "Date d'identification",
  "Date de résolution",
  "Statut",
  "Priorité",
  "Impact",
  "Description",
  "Symptômes",
  "Étapes de diagnostic",
  "Cause racine",
  "Solution",
  "Mesures préventives",
  "Leçons apprises",
] as const;

export type Field = (typeof fields)[number];

/** Where a field's text is in the file. */
export interface Span {
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** As written, without blanks around it. */
  readonly text: string;
}

export interface Incident {
  /** `DEPLOY-001`. */
  readonly id: string;
  readonly title: string;
  readonly environment: EnvironmentName;
  readonly status: Status;
  readonly priority: Priority;
  readonly category: Category;
  readonly impact: string;
  /** As a person reads it; on one line. */
  readonly solution: string;
  readonly prevention: readonly string[];
  /** `2025-03-24`. */
  readonly identified: string;
  readonly resolved: string | undefined;

  /** When it was seen, and seen again while it was open; just the first day when only that is known. */
  readonly seen: readonly Date[];
  readonly resolvedAt: Date | undefined;

  /** Id of the alert that opened it; undefined where a person or another command did. */
  readonly alert: string | undefined;

  readonly fields: Readonly<Record<Field, Span>>;
  /** A hidden note with what the form has no field for. */
  readonly note: Span | undefined;
  /** From its heading to its last character. */
  readonly start: number;
  readonly end: number;
}

/** Heading of the entries. */
export const SECTION = "Problèmes Identifiés";
const HEADING = /^(DEPLOY-\d{3,}): (.+)$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Reads every entry, and complains of each place that does not follow the form. */
export function readIncidents(file: MarkdownFile): Incident[] {
  const section = file.section(SECTION);
  if (!section) return [];
  const starts = section.nodes.flatMap((node, index) =>
    node.type === "heading" && node.depth === 3 ? [{ heading: node, index }] : [],
  );
  const incidents = starts.flatMap(({ heading, index }, place) => {
    const next = starts[place + 1]?.index ?? section.nodes.length;
    const nodes = withoutTemplate(section.nodes.slice(index + 1, next));
    const incident = new EntryReader(file, heading, nodes).read();
    return incident ? [incident] : [];
  });
  for (const [index, incident] of incidents.entries()) {
    if (incidents.findIndex(({ id }) => id === incident.id) < index) {
      file.complain(
        lineAt(file, incident.start),
        `expected one entry ${incident.id}, got another; give it the next free number`,
      );
    }
  }
  return incidents;
}

/** The form's own example, which is a comment, belongs to no entry. */
function withoutTemplate(nodes: readonly RootContent[]): readonly RootContent[] {
  const template = nodes.findIndex((node) => node.type === "html" && /^<!--\s*###/.test(node.value));
  return template === -1 ? nodes : nodes.slice(0, template);
}

/** Reads one entry; a wrong field is complained of, and read as the first value that the form allows. */
class EntryReader {
  readonly #file: MarkdownFile;
  readonly #heading: Heading;
  readonly #nodes: readonly RootContent[];
  readonly #id: string;
  readonly #title: string;
  #spans = new Map<Field, Span>();

  constructor(file: MarkdownFile, heading: Heading, nodes: readonly RootContent[]) {
    const [, id = "", title = ""] = HEADING.exec(plainText(heading)) ?? [];
    this.#file = file;
    this.#heading = heading;
    this.#nodes = nodes;
    this.#id = id;
    this.#title = title;
  }

  read(): Incident | undefined {
    if (this.#id === "") {
      const got = JSON.stringify(plainText(this.#heading));
      const problem = `expected an entry such as "### DEPLOY-001: titre", got ${got}; give it such a name`;
      this.#file.complain(lineOf(this.#heading), problem);
      return undefined;
    }
    const end = endOf(this.#nodes.at(-1) ?? this.#heading);
    this.#spans = this.#readFields(end);
    const missing = fields.filter((field) => !this.#spans.has(field));
    for (const field of missing) {
      const problem = `the field **${field}** is missing; write it bold at the start of a line, with a colon after it`;
      this.#file.complain(lineOf(this.#heading), `${this.#id}: ${problem}`);
    }
    return missing.length === 0 ? this.#readIncident(end) : undefined;
  }

  #readIncident(end: number): Incident {
    const spans = Object.fromEntries(this.#spans) as Record<Field, Span>;
    const note = readNote(this.#file, { id: this.#id, nodes: this.#nodes });
    const identified = this.#readDay("Date d'identification");
    const status = this.#oneOf("Statut", statuses);
    const hasEnd = !isBlank(spans["Date de résolution"].text);
    const resolved = hasEnd ? this.#readDay("Date de résolution") : undefined;
    if (resolved === undefined && status === "Résolu")
      this.#complain("Date de résolution", "the day it was solved, YYYY-MM-DD");
    const names = ENVIRONMENTS.map(({ name }) => name);
    return {
      id: this.#id,
      title: this.#title,
      environment: this.#oneOf("Environnement", names),
      status,
      priority: this.#oneOf("Priorité", priorities),
      category: note?.category ?? "Autres",
      impact: oneLine(blocksOf(this.#nodes, spans.Impact).join(" ")),
      solution: oneLine(blocksOf(this.#nodes, spans.Solution).join(" ")),
      prevention: itemsOf(this.#nodes, spans["Mesures préventives"]).filter((item) => !isBlank(item)),
      identified,
      resolved,
      seen: note && note.seen.length > 0 ? note.seen : [new Date(identified)],
      resolvedAt: resolved === undefined ? undefined : (note?.resolvedAt ?? new Date(resolved)),
      alert: note?.alert,
      fields: spans,
      note: note?.span,
      start: startOf(this.#heading),
      end,
    };
  }

  /** Bold names at the start of a line; a field's text reaches to the next one. */
  #readFields(end: number): Map<Field, Span> {
    const { text } = this.#file;
    const labels = this.#nodes
      .flatMap((node) => (node.type === "paragraph" ? node.children : []))
      .flatMap((child) => {
        const field = fields.find((name) => child.type === "strong" && plainText(child) === name);
        const before = /[^\n]*$/.exec(text.slice(0, startOf(child)))?.[0] ?? "";
        const colon = /^ ?:/.exec(text.slice(endOf(child)));
        return field !== undefined && before.trim() === "" && colon
          ? [{ field, from: startOf(child), start: endOf(child) + colon[0].length, line: lineOf(child) }]
          : [];
      });
    const spans = new Map<Field, Span>();
    for (const [index, { field, start, line }] of labels.entries()) {
      if (spans.has(field))
        this.#file.complain(line, `${this.#id}: the field **${field}** is there twice; keep one`);
      const stop = labels[index + 1]?.from ?? end;
      spans.set(field, { line, start, end: stop, text: text.slice(start, stop).trim() });
    }
    return spans;
  }

  #oneOf<Word extends string>(field: Field, words: readonly Word[]): Word {
    const word = words.find((candidate) => candidate === this.#spans.get(field)?.text);
    if (word === undefined) this.#complain(field, `one of ${words.join(", ")}`);
    return word ?? words[0]!;
  }

  #readDay(field: Field): string {
    const text = this.#spans.get(field)?.text ?? "";
    const at = DAY.test(text) ? new Date(text) : undefined;
    const isDay = at !== undefined && !isNaN(at.getTime()) && at.toISOString().startsWith(text);
    if (!isDay) this.#complain(field, "a day such as 2025-03-24");
    return isDay ? text : "1970-01-01";
  }

  #complain(field: Field, expected: string): void {
    const { line, text } = this.#spans.get(field)!;
    this.#file.complain(
      line,
      `${this.#id}: expected **${field}** to be ${expected}, got ${JSON.stringify(text)}; correct it by hand`,
    );
  }
}

/** A hidden note with what the form has no field for. */
interface Note extends Partial<Pick<Incident, "resolvedAt" | "alert">>, Pick<Incident, "category" | "seen"> {}

const NOTE =
  /^<!-- catégorie : ([^;]+?) ; constaté : ([^;]*?)(?: ; résolu : ([^;]+?))?(?: ; alerte : ([^;\s]+))? -->$/;

export function renderNote({ category, seen, resolvedAt, alert }: Note): string {
  const end = resolvedAt === undefined ? "" : ` ; résolu : ${resolvedAt.toISOString()}`;
  // Encoded, it can neither end the comment nor look like another part of it.
  const by = alert === undefined ? "" : ` ; alerte : ${encodeURIComponent(alert)}`;
  return `<!-- catégorie : ${category} ; constaté : ${seen.map((at) => at.toISOString()).join(" ")}${end}${by} -->`;
}

function readNote(
  file: MarkdownFile,
  { id, nodes }: { readonly id: string; readonly nodes: readonly RootContent[] },
): (Note & { readonly span: Span }) | undefined {
  const node = nodes.find((child) => child.type === "html" && child.value.startsWith("<!-- catégorie"));
  if (node?.type !== "html") return undefined;
  const [, name, seen = "", resolved, encoded] = NOTE.exec(node.value) ?? [];
  const category = categories.find((candidate) => candidate === name);
  const dates = (seen.match(/\S+/g) ?? []).map((word) => new Date(word));
  const resolvedAt = resolved === undefined ? undefined : new Date(resolved);
  if (category === undefined || [...dates, resolvedAt].some((at) => at && isNaN(at.getTime()))) {
    file.complain(
      lineOf(node),
      `${id}: expected the hidden note "<!-- catégorie : <one of ${categories.join(", ")}> ; constaté : <times> -->", ` +
        `got ${JSON.stringify(node.value)}; correct it, or delete the line`,
    );
    return undefined;
  }
  const span = { line: lineOf(node), start: startOf(node), end: endOf(node), text: node.value };
  return { category, seen: dates, resolvedAt, alert: decoded(encoded), span };
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return text;
  }
}

function itemsOf(nodes: readonly Nodes[], span: Span): string[] {
  return nodes
    .filter((node) => node.type === "list" && isWithin(node, span))
    .flatMap((list) =>
      "children" in list ? list.children.map((item) => blocksOf([item], span).join(" ")) : [],
    );
}

/** The readable text between two places, without marks of Markdown: one line a block. */
function blocksOf(nodes: readonly Nodes[], span: Span): string[] {
  return nodes.flatMap((node) => {
    if (!("children" in node)) return [];
    if (node.type !== "paragraph") return blocksOf(node.children, span);
    const text = oneLine(
      node.children
        .filter((child) => isWithin(child, span))
        .map(plainText)
        .join(""),
    );
    return text === "" ? [] : [text];
  });
}

// The text after a label is one node with the label's colon, which begins before the span does.
function isWithin(node: Nodes, { start, end }: Span): boolean {
  return startOf(node) >= start - 2 && endOf(node) <= end;
}

function oneLine(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/^ ?: ?/, "")
    .trim();
}

function lineAt(file: MarkdownFile, offset: number): number {
  return file.text.slice(0, offset).split("\n").length;
}

/** The words that the team's issues document allows. */

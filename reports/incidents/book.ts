/** Opening, resolving and listing incidents in `docs/deployment-issues.md`. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import type { List, Paragraph } from "mdast";
import remarkStringify from "remark-stringify";
import { unified } from "unified";

import { UserError } from "../../common/user-error.ts";
import { isBlank } from "../kept-cells.ts";
import { ENVIRONMENTS, formatIsoDay, type EnvironmentName } from "../labels-fr.ts";
import { escapeInline, MarkdownFile, shownPath, writeWhole } from "../markdown.ts";
import {
  readIncidents,
  renderNote,
  SECTION,
  type Category,
  type Field,
  type Incident,
  type Priority,
  type Status,
} from "./incidents.ts";
import { recurrenceKey, writeTrends } from "./trends.ts";

export const ISSUES_FILE = fileURLToPath(new URL("../../docs/deployment-issues.md", import.meta.url));

const TEMPLATE = new URL("deployment-issues.template.md", import.meta.url);
const OPEN = "À compléter";
const writer = unified().use(remarkStringify, { bullet: "-", listItemIndent: "one" });

export interface NewIncident {
  /** Stack, such as `prod`. */
  readonly stack: string;

  /** Short, and always the same for the same problem, because recurring problems are recognised by it. */
  readonly title: string;
  readonly category: Category;
  readonly priority: Priority;
  readonly impact: string;
  readonly description: string;
  readonly symptoms: readonly string[];

  /** What was examined, and the result. */
  readonly diagnostics: readonly string[];

  /** Id of the alert that opens it: each fault that it reports is an entry of its own. */
  readonly alert?: string;
}

export interface OpenedIncident {
  readonly id: string;
  /** False when the same problem already had an open entry. */
  readonly isNew: boolean;
}

export interface Resolution {
  readonly cause: string;
  readonly solution: string;
  /** Command that solved it, shown in a block of its own. */
  readonly command?: string | undefined;
  readonly prevention: readonly string[];
  readonly lessons: readonly string[];
  /** Whether the problem remains, with a workaround. */
  readonly workaround?: boolean;
}

export interface BookOptions {
  /** @default docs/deployment-issues.md */
  readonly path?: string;
  readonly now: Date;
}

/**
 * Opens an entry, or notes on the open one of the same title and environment that it was seen again.
 *
 * Returns the entry's number. A file with an unreadable part stays as it is.
 */
export async function openIncident(
  incident: NewIncident,
  { path = ISSUES_FILE, now }: BookOptions,
): Promise<OpenedIncident> {
  const environment = nameOfStack(incident.stack);
  const { file, incidents } = await readBook(path);
  const known = incidents.find(
    (entry) =>
      incident.alert === undefined &&
      entry.status === "Ouvert" &&
      entry.environment === environment &&
      recurrenceKey(entry.title) === recurrenceKey(incident.title),
  );
  if (known) {
    noteAgain(file, known, now);
    await save(path, file);
    return { id: known.id, isNew: false };
  }
  const id = nextId(incidents);
  const entry = renderEntry({ id, environment, now, incident });
  const last = incidents.at(-1);
  const section = file.section(SECTION);
  if (last) file.replace(last.end, last.end, `\n\n${entry}`);
  else if (section) file.replaceQuote(section, entry);
  await save(path, file);
  return { id, isNew: true };
}

/** Fills in the resolution, below what people have already written. */
export async function resolveIncident(
  id: string,
  resolution: Resolution,
  { path = ISSUES_FILE, now }: BookOptions,
): Promise<void> {
  const { file, incidents } = await readBook(path);
  const incident = incidents.find((entry) => entry.id === id);
  if (!incident) {
    const known = incidents.map((entry) => entry.id).join(", ");
    throw new UserError(
      `${id}: expected an entry of ${shownPath(path)}, got none of that number; there ${incidents.length === 1 ? "is" : "are"} ${known || "none"}`,
    );
  }
  // The end of an alert resolves an entry before anybody has said why there was one.
  const isExplained = incident.alert === undefined || !isPlaceholder(incident.fields["Cause racine"].text);
  if (incident.status === "Résolu" && isExplained) {
    throw new UserError(
      `${id}: expected an open entry, got one that was resolved on ${incident.resolved}; open another if it came again`,
    );
  }
  const { put, add } = writerOf(file, incident);
  const { command } = resolution;
  const status: Status = resolution.workaround === true ? "Contourné" : "Résolu";
  const resolvedAt = (incident.status === "Résolu" ? incident.resolvedAt : undefined) ?? now;
  put("Date de résolution", ` ${formatIsoDay(resolvedAt)}  `);
  put("Statut", ` ${status}  `);
  add("Cause racine", paragraphs(resolution.cause));
  add(
    "Solution",
    `${paragraphs(resolution.solution)}${command === undefined ? "" : `\n\n${codeBlock(command)}`}`,
  );
  add("Mesures préventives", list(resolution.prevention));
  add("Leçons apprises", list(resolution.lessons));
  const note = renderNote({ ...incident, resolvedAt });
  if (incident.note) file.replace(incident.note.start, incident.note.end, note);
  await save(path, file);
}

/** Resolves the open entry of an alert that has ended at that time; its cause is left to people. */
export async function endIncident(
  id: string,
  {
    at,
    solution,
    path = ISSUES_FILE,
  }: { readonly at: Date; readonly solution: string; readonly path?: string },
): Promise<void> {
  const { file, incidents } = await readBook(path);
  const incident = incidents.find((entry) => entry.id === id);
  if (incident?.status !== "Ouvert") return;
  const { put, add } = writerOf(file, incident);
  put("Date de résolution", ` ${formatIsoDay(at)}  `);
  put("Statut", ` ${"Résolu" satisfies Status}  `);
  add("Solution", paragraphs(solution));
  if (incident.note)
    file.replace(incident.note.start, incident.note.end, renderNote({ ...incident, resolvedAt: at }));
  await save(path, file);
}

/** Writes into the fields of an entry; `add` keeps what people have written. */
function writerOf(file: MarkdownFile, incident: Incident) {
  const put = (field: Field, text: string) => {
    const span = incident.fields[field];
    file.replace(span.start, span.end, `${text}\n`);
  };
  const add = (field: Field, text: string) => {
    if (text === "") return;
    const written = incident.fields[field].text;
    put(field, isPlaceholder(written) ? `\n\n${text}\n` : `\n\n${written}\n\n${text}\n`);
  };
  return { put, add };
}

export async function listIncidents(path = ISSUES_FILE): Promise<Incident[]> {
  return (await readBook(path)).incidents;
}

async function readBook(path: string): Promise<{ file: MarkdownFile; incidents: Incident[] }> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return readFile(TEMPLATE, "utf8");
    throw error;
  });
  const file = new MarkdownFile(path, text);
  const incidents = readIncidents(file);
  file.refuseProblems();
  return { file, incidents };
}

/** Writes the entries, then the trends over all of them. */
async function save(path: string, file: MarkdownFile): Promise<void> {
  const changed = new MarkdownFile(path, await file.render());
  const incidents = readIncidents(changed);
  writeTrends(changed, incidents);
  await writeWhole(path, await changed.render());
}

function nameOfStack(stack: string): EnvironmentName {
  const environment = ENVIRONMENTS.find((candidate) => candidate.stack === stack);
  if (environment) return environment.name;
  throw new UserError(
    `environment: expected one of ${ENVIRONMENTS.map((candidate) => candidate.stack).join(", ")}, got ${JSON.stringify(stack)}`,
  );
}

function nextId(incidents: readonly Incident[]): string {
  const numbers = incidents.map(({ id }) => Number(id.slice("DEPLOY-".length)));
  return `DEPLOY-${String(Math.max(0, ...numbers) + 1).padStart(3, "0")}`;
}

interface NewEntry {
  readonly id: string;
  readonly environment: EnvironmentName;
  readonly now: Date;
  readonly incident: NewIncident;
}

function renderEntry({ id, environment, now, incident }: NewEntry): string {
  const head = {
    Environnement: environment,
    "Date d'identification": formatIsoDay(now),
    "Date de résolution": "-",
    Statut: "Ouvert" satisfies Status,
    Priorité: incident.priority,
    Impact: escapeInline(incident.impact) || OPEN,
  } satisfies Partial<Record<Field, string>>;
  const body = {
    Description: paragraphs(incident.description) || OPEN,
    Symptômes: list(incident.symptoms),
    "Étapes de diagnostic": list(incident.diagnostics, { ordered: true }),
    "Cause racine": OPEN,
    Solution: OPEN,
    "Mesures préventives": list([]),
    "Leçons apprises": list([]),
  } satisfies Partial<Record<Field, string>>;
  return [
    `### ${id}: ${escapeInline(incident.title)}`,
    renderNote({ category: incident.category, seen: [now], alert: incident.alert }),
    Object.entries(head)
      .map(([field, text]) => `**${field}**: ${text}`)
      .join("  \n"),
    ...Object.entries(body).map(([field, text]) => `**${field}**:\n\n${text}`),
  ].join("\n\n");
}

function noteAgain(file: MarkdownFile, incident: Incident, now: Date): void {
  const note = renderNote({ ...incident, resolvedAt: undefined, seen: [...incident.seen, now] });
  if (incident.note) file.replace(incident.note.start, incident.note.end, note);
  else {
    const heading = file.text.indexOf("\n", incident.start);
    file.replace(heading, heading, `\n\n${note}\n`);
  }
}

function isPlaceholder(text: string): boolean {
  return isBlank(text.replace(/^(-|\d+\.)\s+/, ""));
}

/** Plain text as Markdown: keeps its paragraphs and lines. */
function paragraphs(text: string): string {
  return writer
    .stringify({
      type: "root",
      children: text
        .trim()
        .split(/\n\s*\n/)
        .filter((part) => part.trim() !== "")
        .map(paragraph),
    })
    .trim();
}

function paragraph(text: string): Paragraph {
  const lines = text.split("\n").map((line) => line.trim());
  return {
    type: "paragraph",
    children: lines.flatMap((line, index) => [
      ...(index > 0 ? [{ type: "break" } as const] : []),
      { type: "text", value: line } as const,
    ]),
  };
}

function list(items: readonly string[], { ordered = false } = {}): string {
  const texts = items.length === 0 ? [OPEN] : items;
  const node: List = {
    type: "list",
    ordered,
    spread: false,
    children: texts.map((text) => ({ type: "listItem", spread: false, children: [paragraph(text)] })),
  };
  return writer.stringify({ type: "root", children: [node] }).trim();
}

function codeBlock(command: string): string {
  return writer
    .stringify({ type: "root", children: [{ type: "code", lang: "bash", value: command }] })
    .trim();
}

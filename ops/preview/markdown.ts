/** A preview as Markdown, for a pull request's comment and for people at a terminal. */
import type { Change, Changes, Message } from "../changes/changes.ts";
import { LAYER_TITLES } from "../../stacks/resource-kinds.ts";
import { costTable } from "../cost/render.ts";
import type { CostChange } from "../cost/read.ts";
import type { Violation } from "../engine/events.ts";
import type { Irreversible } from "../changes/irreversible.ts";
import type { Shown } from "../changes/properties.ts";
import type { Kind } from "../changes/steps.ts";

export interface PreviewReport extends Pick<Changes, "changes" | "counts" | "messages"> {
  readonly stack: string;
  /** Commit that was previewed. */
  readonly revision: string;
  /** Rules of the policy pack that it breaks; what refuses comes first. */
  readonly violations: readonly Violation[];
  readonly irreversible: readonly Irreversible[];
  /** Undefined where it cannot be known. */
  readonly cost?: CostChange | undefined;
  /** What another list of servers means, a line each in Markdown; empty where the list stays. @default [] */
  readonly servers?: readonly string[];
  /** Whether the real resources were read first, or only the state. */
  readonly refreshed: boolean;
  /** The engine's own diff. */
  readonly diff: string;
  /** Why there is no preview. */
  readonly failure?: string | undefined;
}

export interface Bounds {
  /** Most characters of the whole. */
  readonly length: number;
  /** Most characters of one value. */
  readonly value: number;
  /** Where the full preview is. */
  readonly whole: string;
}

/** Most characters that GitHub takes as a comment or an issue. */
export const GITHUB_LIMIT = 65_536;

const UNBOUNDED: Bounds = { length: Infinity, value: Infinity, whole: "" };

/** Room for the sentences that say what was left out. */
const NOTES_LENGTH = 1_000;

const VERBS: readonly (readonly [kind: Kind, verb: string])[] = [
  ["create", "to create"],
  ["import", "to import"],
  ["update", "to update"],
  ["replace", "to replace"],
  ["delete", "to delete"],
  ["forget", "to forget"],
  ["same", "unchanged"],
];

export function renderPreview(report: PreviewReport, bounds: Bounds = UNBOUNDED): string {
  const head = headline(report);
  if (report.failure !== undefined) return renderFailure(report, head, bounds);

  const cost = report.cost === undefined ? [] : [renderCost(report.cost, bounds.value)];
  const servers = renderServers(report.servers ?? []);
  const given = [...cost, ...servers].join("").length;
  const budget = new Budget(bounds.length - head.length - NOTES_LENGTH - given);
  const rules = budget.take(
    report.violations.map((one) => renderViolation(one, bounds.value * 4)),
    1 / 3,
  );
  const banner = budget.take(
    report.irreversible.map((one) => `> - ${renderIrreversible(one, bounds.value)}`),
    1 / 3,
  );
  const rows = budget.take(
    report.changes.flatMap((change) => renderChange(change, bounds.value)),
    2 / 3,
  );
  const messages = budget.take(
    report.messages.map((message) => `- ${renderMessage(message, bounds.value * 4)}`),
    1 / 2,
  );
  const diffLines = report.diff
    .trimEnd()
    .split("\n")
    .map((line) => clip(line, bounds.value * 10));
  budget.reserve(block(diffLines).length - diffLines.join("\n").length);
  const diff = budget.take(diffLines, 1);

  const left = [
    ...leftOut(rules.left, "rule"),
    ...leftOut(banner.left, "warning"),
    ...leftOut(rows.left, "row"),
    ...leftOut(messages.left, "message"),
    ...leftOut(diff.left, "line of the diff", "lines of the diff"),
  ];
  return [
    head,
    ...(banner.kept.length > 0
      ? [`> [!CAUTION]\n> **This cannot be undone**\n>\n${banner.kept.join("\n")}`]
      : []),
    ...renderRules(rules.kept),
    ...servers,
    ...noteLeftOut(left, bounds),
    ...(rows.kept.length > 0 ? [[...TABLE_HEAD, ...rows.kept].join("\n")] : []),
    ...cost,
    ...(messages.kept.length > 0 ? [folded("Messages of the engine", messages.kept.join("\n"))] : []),
    ...(report.diff.trim() === "" || diff.kept.length === 0
      ? []
      : [folded("The engine's full diff", block(diff.kept))]),
  ].join("\n\n");
}

function renderFailure(report: PreviewReport, head: string, bounds: Bounds): string {
  const errors = report.messages.filter(({ severity }) => severity === "error").map(({ text }) => text);
  const isRefused = report.violations.some(({ refuses }) => refuses);
  // What a rule refuses is in the list of rules.
  const reasons = errors.length > 0 || isRefused ? errors : [report.failure ?? ""];
  const budget = new Budget(bounds.length - head.length - NOTES_LENGTH);
  const rules = budget.take(
    report.violations.map((one) => renderViolation(one, bounds.value * 4)),
    1 / 2,
  );
  const all = reasons.flatMap((reason) => reason.split("\n")).map((line) => clip(line, bounds.value * 10));
  budget.reserve(block(all).length - all.join("\n").length);
  const lines = budget.take(all, 1);
  return [
    head,
    ...renderRules(rules.kept),
    ...(lines.kept.length > 0 ? [block(lines.kept)] : []),
    ...noteLeftOut([...leftOut(rules.left, "rule"), ...leftOut(lines.left, "line")], bounds),
    isRefused && errors.length === 0
      ? "Nothing can be deployed until this is fixed."
      : "What would change is unknown until this is fixed.",
  ].join("\n\n");
}

function renderRules(rows: readonly string[]): string[] {
  return rows.length === 0 ? [] : [`**Rules** (stacks/policy)\n\n${rows.join("\n")}`];
}

function renderServers(lines: readonly string[]): string[] {
  return lines.length === 0
    ? []
    : [`**Servers** (docs/servers.md)\n\n${lines.map((line) => `- ${line}`).join("\n")}`];
}

function renderViolation({ rule, refuses, resource, text }: Violation, length: number): string {
  const where = resource === "" ? "" : ` ${code(clip(resource, 120))}`;
  const lines = text.split("\n").map((line) => code(clip(line, length)));
  return `- ${refuses ? "refused" : "noted"} by ${code(rule)}${where}: ${lines.join(" ")}`;
}

function headline({ stack, counts, failure, revision, refreshed }: PreviewReport): string {
  const at = `Commit ${code(clip(revision, 60))}.`;
  const title = `### Preview of ${code(clip(stack, 100))}`;
  if (failure !== undefined) return `${title}: failed\n\n${at}`;
  const counted = VERBS.filter(([kind]) => counts[kind] > 0).map(([kind, verb]) => `${counts[kind]} ${verb}`);
  const isQuiet = VERBS.every(([kind]) => kind === "same" || counts[kind] === 0);
  const host = refreshed
    ? ""
    : "\n\nThe host was not read: this compares the program with the state after the last deployment.";
  return `${title}: ${[...(isQuiet ? ["nothing changes"] : []), ...counted].join(", ")}\n\n${at}${host}`;
}

/** The sum in one line, and its parts below it; open where a change alters it. */
function renderCost(change: CostChange, length: number): string {
  const { rows, summary, differs } = costTable(change);
  const of = (what: string, name: string) => `${what} ${code(clip(name, 100))}`;
  const heads = ["Cost a month", ...(differs ? ["Before", "After"] : ["Euros"]), "Price"];
  const lines = rows.map(({ what, name, before, after, source }) =>
    [of(what, name), ...(differs ? [before, after] : [after]), code(clip(source, length))].join(" | "),
  );
  const table = [heads, heads.map(() => "---"), ...lines.map((line) => [line])]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
  const title = `Cost: ${summary}`;
  return differs ? `**${title}**\n\n${table}` : folded(title, table);
}

const TABLE_HEAD = [
  "| Layer | Resource | Change | Property | Before | After |",
  "| --- | --- | --- | --- | --- | --- |",
];

function renderChange({ layer, label, name, kind, properties }: Change, length: number): string[] {
  const row = (property: string, before: string, after: string, change: string = kind) =>
    `| ${[LAYER_TITLES[layer], `${label} ${code(clip(name, 120))}`, change, property, before, after].join(" | ")} |`;
  if (kind === "update" || kind === "replace") {
    if (properties.length === 0) return [row("–", "–", "–")];
    return properties.map(({ path, before, after, replaces }) =>
      row(
        code(clip(path, 200)),
        renderShown(before, length),
        renderShown(after, length),
        kind === "replace" && replaces ? "replace, because of this" : kind,
      ),
    );
  }
  const isThere = kind !== "delete" && kind !== "forget";
  const summary = summarize(
    properties.map(({ path, ...sides }) => [path, isThere ? sides.after : sides.before]),
  );
  const cell = summary === "" ? "–" : code(clip(summary, length));
  return [isThere ? row("–", "–", cell) : row("–", cell, "–")];
}

/** Properties that say how a resource is created, not what it is. */
const MEANS = new Set(["apply", "observe", "remove", "validate", "onChange", "timeoutSeconds"]);

/** What distinguishes a new or deleted resource from others; the diff has the rest. */
function summarize(properties: readonly (readonly [path: string, value: Shown])[]): string {
  return properties
    .filter(([path]) => !MEANS.has(path))
    .flatMap(([path, value]) => {
      if (value.kind === "secret") return [`${path}: [secret]`];
      const [line = "", ...more] = value.kind === "text" ? value.lines : [];
      return more.length > 0 || line === "" || line.length > 80 ? [] : [`${path}: ${line}`];
    })
    .slice(0, 6)
    .join(", ");
}

function renderShown(shown: Shown, length: number): string {
  switch (shown.kind) {
    case "none":
      return "–";
    case "secret":
      return code("[secret]");
    case "unknown":
      return "*known after deployment*";
    case "text":
      return clip(shown.lines.join("\n"), length).split("\n").map(code).join("<br>");
  }
}

function renderIrreversible({ resource, text, detail }: Irreversible, length: number): string {
  const end = detail === undefined ? "" : ` (${code(clip(detail, length))})`;
  return `${code(clip(resource, 120))} ${text}${end}`;
}

function renderMessage({ severity, resource, text }: Message, length: number): string {
  const about = resource === "" ? "" : ` ${code(clip(resource, 120))}`;
  return `${severity}${about}: ${code(clip(text, length))}`;
}

function folded(summary: string, content: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${content}\n\n</details>`;
}

function noteLeftOut(left: readonly string[], { whole }: Bounds): string[] {
  return left.length === 0 ? [] : [`Left out here: ${left.join(", ")}; the full preview is in ${whole}.`];
}

function leftOut(count: number, one: string, many = `${one}s`): string[] {
  return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
}

/** Characters that are left. */
class Budget {
  #free: number;

  constructor(length: number) {
    this.#free = length;
  }

  reserve(length: number): void {
    this.#free -= Math.max(0, length);
  }

  /** Takes the first lines that fit into a share of what is left, and counts the others. */
  take(lines: readonly string[], share: number) {
    const most = this.#free * share;
    let used = 0;
    const kept: string[] = [];
    for (const line of lines) {
      if (used + line.length + 1 > most) break;
      used += line.length + 1;
      kept.push(line);
    }
    this.#free -= used;
    return { kept, left: lines.length - kept.length };
  }
}

/** Text in a code span. A pipe is put outside of it, because it would end the table cell. */
export function code(text: string): string {
  if (text === "") return '`""`';
  return visible(text)
    .split("|")
    .map((part) => (part === "" ? "" : span(part)))
    .join("&#124;");
}

/** Lines in a fenced block. */
export function block(lines: readonly string[]): string {
  const text = lines.map((line) => visible(line)).join("\n");
  const fence = "`".repeat(Math.max(3, longestRun(text) + 1));
  return `${fence}text\n${text}\n${fence}`;
}

/** Cuts a text to a number of characters and adds how many are missing. */
export function clip(text: string, length: number): string {
  if (text.length <= length) return text;
  // A surrogate pair must not be split.
  const kept = text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "");
  return `${kept}… (+${text.length - kept.length})`;
}

function span(text: string): string {
  const fence = "`".repeat(longestRun(text) + 1);
  // Markdown takes a space off both ends, unless there is nothing but spaces.
  const needsPadding = /^`|`$|^ .*[^ ].* $/.test(text);
  return needsPadding ? `${fence} ${text} ${fence}` : `${fence}${text}${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

/** Replaces invisible characters: control characters and bidirectional overrides. */
function visible(text: string): string {
  return text
    .replace(/\r?\n/g, "↵")
    .replaceAll("\t", "  ")
    .replace(/[\u0000-\u001F\u007F-\u009F\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g, "�")
    .toWellFormed();
}

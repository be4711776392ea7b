/** `npm run incident`: what a person tells of a problem, on one command line. */
import { readArguments, type Outcome } from "../command.ts";
import { renderTable } from "../table.ts";
import { UserError } from "../../common/user-error.ts";
import { ENVIRONMENTS } from "../../reports/labels-fr.ts";
import {
  ISSUES_FILE,
  listIncidents,
  openIncident,
  resolveIncident,
  type BookOptions,
  type NewIncident,
} from "../../reports/incidents/book.ts";
import { categories, priorities } from "../../reports/incidents/vocabulary.ts";
import { shownPath } from "../../reports/markdown.ts";
import { formatHours, formatShare, recurring, trendsByCategory } from "../../reports/incidents/trends.ts";

const text = { type: "string" } as const;
const texts = { type: "string", multiple: true } as const;

export async function incident(
  usage: string,
  args: readonly string[],
  book: BookOptions = { now: new Date() },
): Promise<Outcome> {
  const [action, ...rest] = args;
  if (action === "list") return list(usage, rest, book);
  if (action === "new") return open(usage, rest, book);
  if (action === "resolve") return resolve(usage, rest, book);
  throw new UserError(
    `expected one of list, new, resolve, got ${JSON.stringify(action ?? "")}\nusage: ${usage}`,
  );
}

async function list(usage: string, args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values } = readArguments(usage, args, { open: { type: "boolean" } }, false);
  const all = await listIncidents(book.path);
  const shown = all.filter(({ status }) => values.open !== true || status === "Ouvert");
  if (shown.length === 0) return { text: all.length === 0 ? "no incident" : "no open incident", exitCode: 0 };
  const table = renderTable(
    ["ID", "Environnement", "Statut", "Priorité", "Catégorie", "Date", "Titre"],
    shown.map((entry) => [
      ...[entry.id, entry.environment, entry.status, entry.priority],
      ...[entry.category, entry.identified, entry.title],
    ]),
  );
  const trends = renderTable(
    ["Catégorie", "Nombre", "% du total", "Temps moyen de résolution"],
    trendsByCategory(all)
      .filter(({ count }) => count > 0)
      .map(({ category, count, share, meanHours }) => [
        category,
        String(count),
        formatShare(share),
        formatHours(meanHours),
      ]),
  );
  const again = recurring(all).map(({ title, occurrences }) => `récurrent (${occurrences} fois) : ${title}`);
  return { text: [table, trends, ...again].join("\n\n"), exitCode: 0 };
}

async function open(usage: string, args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values } = readArguments(
    usage,
    args,
    {
      ...{ environment: text, title: text, priority: text, category: text },
      ...{ impact: text, description: text, symptom: texts, diagnostic: texts },
    },
    false,
  );
  const problems: string[] = [];
  const entry: NewIncident = {
    stack: oneOf("environment", values.environment, STACKS, problems),
    title: given("title", values.title, problems),
    priority: oneOf("priority", values.priority, wordsOf(priorities), problems),
    category: oneOf("category", values.category, wordsOf(categories), problems),
    impact: given("impact", values.impact, problems),
    description: given("description", values.description, problems),
    symptoms: someOf("symptom", values.symptom, problems),
    diagnostics: values.diagnostic ?? [],
  };
  refuse(usage, problems);
  const { id, isNew } = await openIncident(entry, book);
  return {
    text: isNew
      ? `opened ${id} in ${shownPath(book.path ?? ISSUES_FILE)}`
      : `${id} is open already: noted that it was seen again`,
    exitCode: 0,
  };
}

async function resolve(usage: string, args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values, positionals } = readArguments(usage, args, {
    ...{ cause: text, solution: text, command: text, prevention: texts, lesson: texts },
    workaround: { type: "boolean" },
  });
  const problems: string[] = [];
  const [id = "", ...others] = positionals;
  if (id === "" || others.length > 0) {
    problems.push(
      `expected one number such as DEPLOY-001, got ${positionals.length}; npm run incident -- list shows them`,
    );
  }
  const resolution = {
    cause: given("cause", values.cause, problems),
    solution: given("solution", values.solution, problems),
    command: values.command,
    prevention: someOf("prevention", values.prevention, problems),
    lessons: someOf("lesson", values.lesson, problems),
    workaround: values.workaround === true,
  };
  refuse(usage, problems);
  await resolveIncident(id, resolution, book);
  return { text: `${id} is ${resolution.workaround ? "contourné" : "résolu"}`, exitCode: 0 };
}

type Words<Value extends string> = readonly (readonly [word: string, value: Value])[];

/** A stack's name, or the one that the documents give it. */
const STACKS: Words<string> = ENVIRONMENTS.flatMap(({ stack, name }) => [
  [stack, stack] as const,
  [name, stack] as const,
]);

function wordsOf<Value extends string>(values: readonly Value[]): Words<Value> {
  return values.map((value) => [value, value]);
}

function oneOf<Value extends string>(
  option: string,
  value: string | undefined,
  words: Words<Value>,
  problems: string[],
): Value {
  const found = words.find(([word]) => bare(word) === bare(value ?? ""));
  if (!found) {
    const names = [...new Set(words.map(([word]) => word))].join(", ");
    problems.push(
      `--${option}: expected one of ${names}, got ${value === undefined ? "nothing" : JSON.stringify(value)}`,
    );
  }
  return found?.[1] ?? words[0]![1];
}

/** Without capitals and accents, which a keyboard may not have. */
function bare(word: string): string {
  return word.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function given(option: string, value: string | undefined, problems: string[]): string {
  if (value === undefined || value.trim() === "") problems.push(`--${option}: expected a text, got nothing`);
  return value ?? "";
}

function someOf(
  option: string,
  values: readonly string[] | undefined,
  problems: string[],
): readonly string[] {
  if (values === undefined || values.some((value) => value.trim() === "")) {
    problems.push(`--${option}: expected a text, once or more often, got nothing`);
  }
  return values ?? [];
}

function refuse(usage: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new UserError(`${problems.join("\n")}\nusage: ${usage}`);
}

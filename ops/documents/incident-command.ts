/** `npm run incident`: problems that people report, on one command line. */
import { onlyStack, readArguments, type Outcome } from "../command.ts";
import { openGithub } from "../vendors/github.ts";
import { inWorld } from "../monitoring/world.ts";
import { renderTable } from "../terminal.ts";
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
import { categories, priorities } from "../../reports/incidents/incidents.ts";
import { shownPath } from "../../reports/markdown.ts";
import { categoryRows, recurring } from "../../reports/incidents/trends.ts";
import { incidentsFromAlerts } from "./alert-incidents.ts";
import { proposing } from "./proposal.ts";

const USAGES = {
  list: "npm run incident -- list [--open]",
  new:
    `npm run incident -- new --environment <stack> --title <text> --priority <${priorities.join("|")}>\n` +
    `         --category <${categories.join("|")}>\n` +
    "         --impact <text> --description <text> --symptom <text>… [--diagnostic <text>…]",
  resolve:
    "npm run incident -- resolve <DEPLOY-001> --cause <text> --solution <text> [--command <text>]\n" +
    "         --prevention <text>… --lesson <text>… [--workaround]",
  "from-alerts": "npm run incident -- from-alerts <stack> [--since 3d] [--propose]",
} as const;

const oneText = { type: "string" } as const;
const manyTexts = { type: "string", multiple: true } as const;

export async function incident(
  args: readonly string[],
  book: BookOptions = { now: new Date() },
): Promise<Outcome> {
  const [action, ...rest] = args;
  if (action === "list") return listEntries(rest, book);
  if (action === "new") return openEntry(rest, book);
  if (action === "resolve") return resolveEntry(rest, book);
  if (action === "from-alerts") return openFromAlerts(rest, book);
  throw new UserError(
    `expected one of ${Object.keys(USAGES).join(", ")}, got ${JSON.stringify(action ?? "")}\n` +
      `usage: ${Object.values(USAGES).join("\n       ")}`,
  );
}

async function listEntries(args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values } = readArguments(USAGES.list, args, { open: { type: "boolean" } }, false);
  const all = await listIncidents(book.path);
  const shown = all.filter(({ status }) => values.open !== true || status === "Ouvert");
  if (shown.length === 0) return { text: all.length === 0 ? "no incident" : "no open incident", exitCode: 0 };
  const table = renderTable({
    headings: ["ID", "Environnement", "Statut", "Priorité", "Catégorie", "Date", "Titre"],
    rows: shown.map((entry) => [
      ...[entry.id, entry.environment, entry.status, entry.priority],
      ...[entry.category, entry.identified, entry.title],
    ]),
  });
  const trends = renderTable({
    headings: ["Catégorie", "Nombre", "% du total", "Temps moyen de résolution"],
    rows: categoryRows(all).filter(([, count]) => count !== "0"),
  });
  const again = recurring(all).map(({ title, occurrences }) => `récurrent (${occurrences} fois) : ${title}`);
  return { text: [table, trends, ...again].join("\n\n"), exitCode: 0 };
}

async function openEntry(args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values } = readArguments(
    USAGES.new,
    args,
    {
      ...{ environment: oneText, title: oneText, priority: oneText, category: oneText },
      ...{ impact: oneText, description: oneText, symptom: manyTexts, diagnostic: manyTexts },
    },
    false,
  );
  const options = new OptionReader(USAGES.new);
  const entry: NewIncident = {
    stack: STACKS.get(
      options.oneOf("environment", { value: values.environment, words: [...STACKS.keys()] }),
    )!,
    title: options.text("title", values.title),
    priority: options.oneOf("priority", { value: values.priority, words: priorities }),
    category: options.oneOf("category", { value: values.category, words: categories }),
    impact: options.text("impact", values.impact),
    description: options.text("description", values.description),
    symptoms: options.texts("symptom", values.symptom),
    diagnostics: values.diagnostic ?? [],
  };
  options.throwProblems();
  const { id, isNew } = await openIncident(entry, book);
  return {
    text: isNew
      ? `opened ${id} in ${shownPath(book.path ?? ISSUES_FILE)}`
      : `${id} is already open: noted that it was seen again`,
    exitCode: 0,
  };
}

async function resolveEntry(args: readonly string[], book: BookOptions): Promise<Outcome> {
  const { values, positionals } = readArguments(USAGES.resolve, args, {
    ...{ cause: oneText, solution: oneText, command: oneText, prevention: manyTexts, lesson: manyTexts },
    workaround: { type: "boolean" },
  });
  const options = new OptionReader(USAGES.resolve);
  const [id = "", ...others] = positionals;
  if (id === "" || others.length > 0) {
    options.problems.push(
      `expected one number such as DEPLOY-001, got ${positionals.length}; npm run incident -- list shows them`,
    );
  }
  const resolution = {
    cause: options.text("cause", values.cause),
    solution: options.text("solution", values.solution),
    command: values.command,
    prevention: options.texts("prevention", values.prevention),
    lessons: options.texts("lesson", values.lesson),
    workaround: values.workaround === true,
  };
  options.throwProblems();
  await resolveIncident(id, resolution, book);
  return { text: `${id} is ${resolution.workaround ? "contourné" : "résolu"}`, exitCode: 0 };
}

async function openFromAlerts(args: readonly string[], book: BookOptions): Promise<Outcome> {
  const usage = USAGES["from-alerts"];
  const { values, positionals } = readArguments(usage, args, {
    since: { type: "string", default: "3d" },
    propose: { type: "boolean", default: false },
  });
  const stack = onlyStack(usage, positionals);
  const github = values.propose ? openGithub(process.env) : undefined;
  return await proposing(github, () =>
    inWorld((world) => incidentsFromAlerts({ stack, since: values.since }, world, book)),
  );
}

/** A stack's name, or the one that the documents give it → the stack. */
const STACKS = new Map<string, string>(
  ENVIRONMENTS.flatMap(({ stack, name }) => [[stack, stack] as const, [name, stack] as const]),
);

/** Reads options, and collects the problems of all of them. */
class OptionReader {
  readonly problems: string[] = [];
  readonly #usage: string;

  constructor(usage: string) {
    this.#usage = usage;
  }

  oneOf<Word extends string>(
    name: string,
    { value, words }: { readonly value: string | undefined; readonly words: readonly Word[] },
  ): Word {
    const found = words.find((word) => bare(word) === bare(value ?? ""));
    if (found === undefined) {
      const got = value === undefined ? "nothing" : JSON.stringify(value);
      this.problems.push(`--${name}: expected one of ${words.join(", ")}, got ${got}`);
    }
    return found ?? words[0]!;
  }

  text(name: string, value: string | undefined): string {
    if (value === undefined || value.trim() === "")
      this.problems.push(`--${name}: expected a text, got nothing`);
    return value ?? "";
  }

  texts(name: string, values: readonly string[] | undefined): readonly string[] {
    if (values === undefined || values.some((value) => value.trim() === "")) {
      this.problems.push(`--${name}: expected a text, once or more often, got nothing`);
    }
    return values ?? [];
  }

  throwProblems(): void {
    if (this.problems.length > 0) throw new UserError(`${this.problems.join("\n")}\nusage: ${this.#usage}`);
  }
}

/** Without capitals and accents, which a keyboard may not have. */
function bare(word: string): string {
  return word.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

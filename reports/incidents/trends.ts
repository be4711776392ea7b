/** Incidents by category and those that recur, in the section "Tendances et Analyses": figures are computed, what people add to them stays. */
import type { ListItem, RootContent } from "mdast";

import { isBlank } from "../kept-cells.ts";
import { formatNumber, plural } from "../labels-fr.ts";
import {
  endOf,
  escapeInline,
  plainText,
  renderMarkdownTable,
  startOf,
  type MarkdownFile,
} from "../markdown.ts";
import { categories, type Incident } from "./incidents.ts";

const SECTION = "Tendances et Analyses";
const BY_CATEGORY = "Tendances par Catégorie";
const RECURRING = "Problèmes Récurrents";
const IMPROVEMENTS = "Améliorations du Processus de Déploiement";
const COLUMNS = ["Catégorie", "Nombre de problèmes", "% du total", "Temps moyen de résolution"];
const NONE = "Aucun problème récurrent.";
const OPEN = "À compléter";
const STRATEGY = "Stratégie d'atténuation: ";

interface Recurring {
  readonly title: string;
  /** Times that it was seen, over all its entries. */
  readonly occurrences: number;
  readonly impact: string;
  /** Measure that the newest solved entry names. */
  readonly strategy: string | undefined;
}

/** For each category: number of incidents, share of all, mean time until they were resolved. */
export function categoryRows(incidents: readonly Incident[]): string[][] {
  return categories.map((category) => {
    const ours = incidents.filter((incident) => incident.category === category);
    const hours = ours.map(hoursToResolve).filter((value) => value !== undefined);
    const share = incidents.length === 0 ? 0 : ours.length / incidents.length;
    const mean = hours.reduce((sum, value) => sum + value, 0) / hours.length;
    return [
      category,
      String(ours.length),
      `${Math.round(share * 100)} %`,
      hours.length === 0 ? "-" : formatHours(mean),
    ];
  });
}

/** From the first time it was seen until it was solved; an entry written by hand has only days. */
function hoursToResolve({ seen, resolvedAt }: Incident): number | undefined {
  const [first] = seen;
  if (first === undefined || resolvedAt === undefined) return undefined;
  return Math.max(0, resolvedAt.getTime() - first.getTime()) / 3_600_000;
}

/** Seen more than once under the same title, the most frequent first. */
export function recurring(incidents: readonly Incident[]): Recurring[] {
  const groups = Map.groupBy(incidents, ({ title }) => recurrenceKey(title));
  return [...groups.values()]
    .map((group): Recurring => {
      const newest = group.findLast(({ prevention }) => prevention.length > 0);
      return {
        title: group[0]?.title ?? "",
        occurrences: group.reduce((sum, { seen }) => sum + seen.length, 0),
        impact: [...new Set(group.map(({ impact }) => impact))].filter((text) => !isBlank(text)).join(" ; "),
        strategy: newest?.prevention[0],
      };
    })
    .filter(({ occurrences }) => occurrences > 1)
    .toSorted((one, other) => other.occurrences - one.occurrences);
}

/** The part of a title that stays the same when a problem recurs: without numbers and plurals. */
export function recurrenceKey(title: string): string {
  return title.toLowerCase().replace(/\d+/g, "#").replace(/s\b/g, "").replace(/\s+/g, " ").trim();
}

function formatHours(hours: number): string {
  if (hours < 1) return plural(Math.round(hours * 60), "minute");
  return hours < 10
    ? `${formatNumber(Math.round(hours * 10) / 10)} ${hours < 2 ? "heure" : "heures"}`
    : plural(Math.round(hours), "heure");
}

export function writeTrends(file: MarkdownFile, incidents: readonly Incident[]): void {
  const section = file.section(SECTION);
  if (!section) return;
  const isThere = section.nodes.some((node) => node.type === "heading" && plainText(node) === BY_CATEGORY);
  if (!isThere) {
    file.replaceQuote(section, renderSection(incidents));
    return;
  }
  const table = file.table(BY_CATEGORY, COLUMNS);
  if (table) file.replaceTable(table, categoryRows(incidents));
  const listed = file
    .section(RECURRING)
    ?.nodes.find((node) => node.type === "list" || (node.type === "paragraph" && plainText(node) === NONE));
  if (listed) file.replace(startOf(listed), endOf(listed), renderRecurring(incidents, notesOf(file, listed)));
}

function renderSection(incidents: readonly Incident[]): string {
  return [
    `### ${BY_CATEGORY}`,
    renderMarkdownTable(COLUMNS, categoryRows(incidents)),
    `### ${RECURRING}`,
    renderRecurring(incidents, new Map()),
    `### ${IMPROVEMENTS}`,
    renderMarkdownTable(["Amélioration", "Mise en œuvre", "Impact observé"], [["-", "-", "-"]]),
  ].join("\n\n");
}

/** The current text of one recurring problem in the list. */
interface Notes {
  readonly whole: string;
  readonly strategy: string | undefined;
  /** Points besides the three of the form. */
  readonly others: readonly string[];
}

function renderRecurring(incidents: readonly Incident[], notes: ReadonlyMap<string, Notes>): string {
  const found = recurring(incidents);
  const kinds = new Set(found.map(({ title }) => recurrenceKey(title)));
  const items = [
    ...found.map((problem) => renderProblem(problem, notes.get(recurrenceKey(problem.title)))),
    ...[...notes].filter(([kind]) => !kinds.has(kind)).map(([, { whole }]) => whole),
  ];
  return items.length === 0 ? NONE : items.map((item, index) => `${index + 1}. ${item}`).join("\n\n");
}

function renderProblem(
  { title, occurrences, impact, strategy }: Recurring,
  notes: Notes | undefined,
): string {
  const points = [
    `Fréquence: ${plural(occurrences, "occurrence")}`,
    `Impact cumulé: ${escapeInline(impact) || OPEN}`,
    STRATEGY + (notes?.strategy ?? (escapeInline(strategy ?? "") || OPEN)),
    ...(notes?.others ?? []),
  ];
  return [`**${escapeInline(title)}**`, ...points.map((point) => `   - ${point}`)].join("\n");
}

function notesOf(file: MarkdownFile, node: RootContent): ReadonlyMap<string, Notes> {
  if (node.type !== "list") return new Map();
  const source = (item: ListItem) => {
    const [first] = item.children;
    return first ? file.text.slice(startOf(first), endOf(item)) : "";
  };
  return new Map(
    node.children.flatMap((item) => {
      const [title] = item.children;
      if (!title) return [];
      const points = item.children.flatMap((child) =>
        child.type === "list" ? child.children.map(source) : [],
      );
      const strategy = points.find((point) => point.startsWith(STRATEGY.trim()))?.slice(STRATEGY.length);
      return [
        [
          recurrenceKey(plainText(title)),
          {
            whole: source(item),
            strategy: strategy === undefined || isBlank(strategy) ? undefined : strategy,
            others: points.filter(
              (point) => !/^(Fréquence|Impact cumulé|Stratégie d'atténuation):/.test(point),
            ),
          },
        ] as const,
      ];
    }),
  );
}

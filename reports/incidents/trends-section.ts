/** The section "Tendances et Analyses": figures are computed, what people add to them stays. */
import type { ListItem, RootContent } from "mdast";

import { isBlank } from "../kept-cells.ts";
import { plural } from "../labels-fr.ts";
import type { Incident } from "./incidents.ts";
import {
  endOf,
  escapeInline,
  plainText,
  renderMarkdownTable,
  startOf,
  type MarkdownFile,
} from "../markdown.ts";
import {
  formatHours,
  formatShare,
  recurrenceKey,
  recurring,
  trendsByCategory,
  type Recurring,
} from "./trends.ts";

const SECTION = "Tendances et Analyses";
const BY_CATEGORY = "Tendances par Catégorie";
const RECURRING = "Problèmes Récurrents";
const IMPROVEMENTS = "Améliorations du Processus de Déploiement";
const COLUMNS = ["Catégorie", "Nombre de problèmes", "% du total", "Temps moyen de résolution"];
const NONE = "Aucun problème récurrent.";
const OPEN = "À compléter";
const STRATEGY = "Stratégie d'atténuation: ";

export function writeTrends(file: MarkdownFile, incidents: readonly Incident[]): void {
  const section = file.section(SECTION);
  if (!section) return;
  const isThere = section.nodes.some((node) => node.type === "heading" && plainText(node) === BY_CATEGORY);
  if (!isThere) {
    const text = renderSection(incidents);
    const none = section.nodes.find((node) => node.type === "blockquote");
    if (none) file.replace(startOf(none), endOf(none), text);
    else file.replace(endOf(section.heading), endOf(section.heading), `\n\n${text}`);
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

function categoryRows(incidents: readonly Incident[]): string[][] {
  return trendsByCategory(incidents).map(({ category, count, share, meanHours }) => [
    category,
    String(count),
    formatShare(share),
    formatHours(meanHours),
  ]);
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

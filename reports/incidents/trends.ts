/** Incidents by category, and those that recur. */
import { isBlank } from "../kept-cells.ts";
import { formatNumber, plural } from "../labels-fr.ts";
import { type Incident } from "./incidents.ts";
import { categories, type Category } from "./vocabulary.ts";

export interface CategoryTrend {
  readonly category: Category;
  readonly count: number;
  /** Of all incidents, 0 to 1. */
  readonly share: number;
  /** Of those that were solved; undefined when none was. */
  readonly meanHours: number | undefined;
}

export interface Recurring {
  readonly title: string;
  /** Times that it was seen, over all its entries. */
  readonly occurrences: number;
  readonly impact: string;
  /** Measure that the newest solved entry names. */
  readonly strategy: string | undefined;
}

export function trendsByCategory(incidents: readonly Incident[]): CategoryTrend[] {
  return categories.map((category) => {
    const ours = incidents.filter((incident) => incident.category === category);
    const hours = ours.map(hoursToResolve).filter((value) => value !== undefined);
    return {
      category,
      count: ours.length,
      share: incidents.length === 0 ? 0 : ours.length / incidents.length,
      meanHours: hours.length === 0 ? undefined : hours.reduce((sum, value) => sum + value, 0) / hours.length,
    };
  });
}

/** From the first time it was seen until it was solved; an entry written by hand has only days. */
export function hoursToResolve({ seen, resolvedAt }: Incident): number | undefined {
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

export function formatHours(hours: number | undefined): string {
  if (hours === undefined) return "-";
  if (hours < 1) return plural(Math.round(hours * 60), "minute");
  return hours < 10
    ? `${formatNumber(Math.round(hours * 10) / 10)} ${hours < 2 ? "heure" : "heures"}`
    : plural(Math.round(hours), "heure");
}

export function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

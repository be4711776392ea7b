/** What the stores know of a period: the team's metrics, how much of the period they cover, and what becomes of memory and disk. */
import type { Period } from "../../reports/validation/validation.ts";
import type { Environment } from "../../stacks/environment.ts";
import { metricsOf, type Metric } from "../monitoring/metric-catalog.ts";
import { readValues } from "../monitoring/metric-values.ts";
import type { Stores } from "../monitoring/stores.ts";

/** Series that is there as long as its part of the monitoring works. */
const SOURCES = {
  requests: 'gateway{group="all",stats_result="requests"}',
  server: "node_memory_MemAvailable_bytes",
  containers: "technicia_task_starts_total",
  rules: 'ALERTS{alertname="Watchdog",alertstate="firing"}',
  backups: "technicia_backup_last_success_timestamp_seconds",
  drills: "technicia_drill_last_success_timestamp_seconds",
} as const;

export type Source = keyof typeof SOURCES;

const STEP_SECONDS = 300;
const DAY_SECONDS = 86_400;

const KEYS = [
  ...["availabilityFromTheServer", "errors", "p50", "p95", "p99", "requests", "restarts"],
  ...["memory", "disk", "backupHours", "drillDays"],
] as const;

const TRENDS = ["memory", "disk"] as const;

export interface Measures {
  readonly seconds: number;

  /** By the key of `npm run metrics`. */
  readonly values: ReadonlyMap<string, number | undefined>;

  /** Key → at the end, and its change in a day over the second half; the first warms up. */
  readonly trends: ReadonlyMap<string, { readonly last: number; readonly perDay: number } | undefined>;

  /** Share of the period in which the source was there, from 0 to 1. */
  readonly covered: ReadonlyMap<Source, number>;
}

/** Metrics by key. */
export function metricsByKey(environment: Environment): ReadonlyMap<string, Metric> {
  return new Map(metricsOf(environment).map((metric) => [metric.key, metric]));
}

/** @throws StoreSilent where the store does not answer */
export async function readMeasures(
  stores: Pick<Stores, "askAll">,
  { environment, period }: { readonly environment: Environment; readonly period: Period },
): Promise<Measures> {
  const seconds = Math.round((period.until.getTime() - period.from.getTime()) / 1000);
  // A span of less than a step would hold no point at all.
  const asked = Math.max(seconds, STEP_SECONDS);
  const span = { text: `${asked}s`, seconds: asked };
  const half = `${Math.max(Math.round(asked / 2), 2 * STEP_SECONDS)}s:5m`;
  const metrics = metricsByKey(environment);
  const now = (key: string) => metrics.get(key)!.now;
  const sources = Object.keys(SOURCES) as Source[];
  const queries = [
    ...KEYS.map((key) => metrics.get(key)!.over(span)),
    ...TRENDS.map((key) => `last_over_time((${now(key)})[1h:5m])`),
    ...TRENDS.map((key) => `deriv((${now(key)})[${half}]) * ${DAY_SECONDS}`),
    ...sources.map((source) => `count_over_time((count(${SOURCES[source]}))[${span.text}:5m])`),
  ];
  const found = [...(await readValues(stores, { queries, at: period.until }))];
  const values = found.splice(0, KEYS.length);
  const [lasts, slopes] = [found.splice(0, TRENDS.length), found.splice(0, TRENDS.length)];
  const points = Math.max(1, Math.floor(asked / STEP_SECONDS));
  return {
    seconds,
    values: new Map(KEYS.map((key, index) => [key, values[index]])),
    trends: new Map(TRENDS.map((key, index) => [key, trendOf(lasts[index], slopes[index])])),
    covered: new Map(sources.map((source, index) => [source, Math.min(1, (found[index] ?? 0) / points)])),
  };
}

function trendOf(last: number | undefined, perDay: number | undefined) {
  return last === undefined || perDay === undefined ? undefined : { last, perDay };
}

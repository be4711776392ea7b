/** Judges what was measured of a release's first day or week, against the thresholds and against the release before. */
import { formatNumber, formatSeconds, plural } from "../../reports/labels-fr.ts";
import { formatMetric, METRICS_FR } from "../../reports/metrics-fr.ts";
import { AVAILABILITY_OBJECTIVES } from "../../reports/availability.ts";
import type { Backups } from "../../reports/facts.ts";
import type { Finding, Verdict, Window } from "../../reports/validation/validation.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Fault } from "../monitoring/faults.ts";
import type { Limit, Unit } from "../monitoring/metric-catalog.ts";
import { metricsByKey, type Measures, type Source } from "./measure.ts";

/** With less of the period, nobody knows how it was. */
const LEAST_COVERED = 0.9;

/** What differs by less is chance: a quarter, and the smallest difference that anybody notices, in the metric's unit. */
const MORE = 1.25;
const NOTICED: Readonly<Record<string, number>> = { "%": 0.1, s: 0.05 };

/** In points of a percentage: memory that a release takes more than the one before. */
const MORE_MEMORY = 10;

/** The next look is at most this far away. */
const TREND_DAYS = 7;

/** Points in a day that are no trend. */
const FLAT = 0.5;

/** What one place saw of the site's availability, in percent. */
export interface View {
  /** In French, such as `vue de staging`. */
  readonly from: string;
  readonly value: number | undefined;
  readonly before: number | undefined;

  /** Why it could not be asked. */
  readonly why?: string;
}

export interface Measured {
  readonly window: Window;
  readonly environment: Environment;
  readonly now: Measures;

  /** Undefined without a release before. */
  readonly before: Measures | undefined;

  /** From outside, and from the server itself. */
  readonly views: readonly View[];
  readonly faults: readonly Fault[];

  /** What the server has recorded; undefined where it makes none. */
  readonly backups: Backups | undefined;
}

export function judge(measured: Measured): readonly Finding[] {
  return [
    availability(measured),
    ...["errors", "p50", "p95", "p99"].map((key) => ofRequests(key, measured)),
    restarts(measured),
    trend("memory", measured),
    trend("disk", measured),
    alerts(measured),
    backups(measured),
    drills(measured),
  ];
}

function notMeasured(what: string, text: string): Finding {
  return { what, verdict: "not-measured", text };
}

function nameOf(key: string): string {
  return METRICS_FR[key] ?? key;
}

/** The lowest of what was seen. A view that could not be asked is named, and judges nothing. */
function availability({ views }: Measured): Finding {
  const what = nameOf("availability");
  const seen = views.filter(({ value }) => value !== undefined);
  const missed = views.flatMap(({ from, value, why }) =>
    value === undefined ? [`${from} : ${why ?? "aucune mesure"}`] : [],
  );
  if (seen.length === 0) return notMeasured(what, missed.join(", ") || "personne ne mesure");
  const texts = seen.map(({ from, value, before }) => `${from} ${percent(value!)}${beside(before, "%")}`);
  const isWorse = seen.some(
    ({ value, before }) =>
      value! < AVAILABILITY_OBJECTIVES.least ||
      (value! < AVAILABILITY_OBJECTIVES.good && before !== undefined && value! < before - NOTICED["%"]!),
  );
  return { what, verdict: isWorse ? "worse" : "ok", text: [...texts, ...missed].join(", ") };
}

const percent = (value: number) => formatMetric(value, "%");

function beside(before: number | undefined, unit: Unit): string {
  return before === undefined ? "" : ` (${formatMetric(before, unit)} avant)`;
}

/** Why the source says too little of a period; undefined where it says enough. */
function gapOf({ covered }: Measures, source: Source): string | undefined {
  const share = covered.get(source) ?? 0;
  return share >= LEAST_COVERED ? undefined : `mesuré ${formatNumber(Math.floor(share * 100))} % du temps`;
}

function requestsIn({ values, seconds }: Measures): number {
  return Math.round((values.get("requests") ?? 0) * seconds);
}

function ofRequests(key: string, { environment, now, before, window }: Measured): Finding {
  const { unit, limit } = metricsByKey(environment).get(key)!;
  const what = nameOf(key);
  const gap = gapOf(now, "requests");
  if (gap !== undefined) return notMeasured(what, gap);
  const [count, least] = [requestsIn(now), environment.monitoring.thresholds.latency.minimumRequests];
  if (count < least) return notMeasured(what, `${plural(count, "demande")}, moins que ${least}`);
  const value = now.values.get(key);
  if (value === undefined) return notMeasured(what, "aucune mesure");
  const text = formatMetric(value, unit);
  if (isOver(value, limit)) return { what, verdict: "worse", text: `${text}, ${thresholdOf(limit!, unit)}` };
  if (before === undefined) return { what, verdict: "ok", text: `${text} (pas de version précédente)` };
  const compared = before.values.get(key);
  const missing =
    gapOf(before, "requests") ??
    (requestsIn(before) < least ? `${plural(requestsIn(before), "demande")}` : undefined) ??
    (compared === undefined ? "aucune mesure" : undefined);
  if (missing !== undefined)
    return notMeasured(what, `${text}, sans comparaison : nº ${window.before!.release.number}, ${missing}`);
  const isWorse = value > compared! * MORE && value > compared! + NOTICED[unit]!;
  return { what, verdict: isWorse ? "worse" : "ok", text: `${text}${beside(compared, unit)}` };
}

function isOver(value: number, limit: Limit | undefined): boolean {
  if (limit === undefined) return false;
  return limit.side === "above" ? value > limit.value : value < limit.value;
}

function thresholdOf({ value }: Limit, unit: Unit): string {
  return `seuil ${formatMetric(value, unit)}`;
}

/** Starts of services after the release's own. */
function restarts({ now, before }: Measured): Finding {
  const what = nameOf("restarts");
  const [gap, value] = [gapOf(now, "containers"), now.values.get("restarts")];
  if (gap !== undefined || value === undefined) return notMeasured(what, gap ?? "aucune mesure");
  const count = Math.round(value);
  if (count === 0) return { what, verdict: "ok", text: "aucun" };
  const earlier = before?.values.get("restarts");
  if (before === undefined) return { what, verdict: "worse", text: `${count}, sans version précédente` };
  if (earlier === undefined || gapOf(before, "containers") !== undefined)
    return notMeasured(what, `${count}, sans comparaison : version précédente non mesurée`);
  // In the same time.
  const expected = (earlier * now.seconds) / Math.max(before.seconds, 1);
  const verdict: Verdict = count > Math.ceil(expected) ? "worse" : "ok";
  return { what, verdict, text: `${count} (${formatNumber(Math.round(expected))} avant, sur la même durée)` };
}

function trend(key: "memory" | "disk", { environment, now, before }: Measured): Finding {
  const { unit, limit } = metricsByKey(environment).get(key)!;
  const what = nameOf(key);
  const [gap, highest, found] = [gapOf(now, "server"), now.values.get(key), now.trends.get(key)];
  if (gap !== undefined || highest === undefined || found === undefined)
    return notMeasured(what, gap ?? "aucune mesure");
  const earlier = before?.values.get(key);
  const perDay = Number(found.perDay.toFixed(1));
  const change = `${perDay < 0 ? "" : "+"}${formatNumber(perDay)} ${Math.abs(perDay) < 2 ? "point" : "points"} par jour`;
  const text = `au plus ${formatMetric(highest, unit)}${beside(earlier, unit)}, ${change}`;
  const worse = (reason: string): Finding => ({ what, verdict: "worse", text: `${text} : ${reason}` });
  if (isOver(highest, limit)) return worse(thresholdOf(limit!, unit));
  if (found.perDay > FLAT && isOver(found.last + found.perDay * TREND_DAYS, limit))
    return worse(`${thresholdOf(limit!, unit)} dans moins de ${TREND_DAYS} jours`);
  if (earlier !== undefined && highest > earlier + MORE_MEMORY)
    return worse("plus que la version précédente");
  return { what, verdict: "ok", text };
}

function alerts({ now, faults }: Measured): Finding {
  const what = "alertes P1 et P2";
  const told = faults.filter(({ quiet }) => quiet === undefined);
  if (told.length > 0) {
    const names = [...new Set(told.map(({ id, severity }) => `${id} (${severity})`))];
    const seconds = told.reduce((sum, { from, until }) => sum + (until.getTime() - from.getTime()) / 1000, 0);
    return {
      what,
      verdict: "worse",
      text: `${told.length}, ${formatSeconds(seconds)} : ${names.join(", ")}`,
    };
  }
  const gap = gapOf(now, "rules");
  return gap === undefined ? { what, verdict: "ok", text: "aucune" } : notMeasured(what, gap);
}

function backups({ now, backups: known, environment }: Measured): Finding {
  const what = nameOf("backupHours");
  if (known === undefined) return notMeasured(what, "aucune sauvegarde n'est prévue");
  return age("backupHours", { source: "backups", now, environment });
}

function drills({ now, backups: known, environment, window }: Measured): Finding {
  const what = "essais de restauration";
  if (known === undefined) return notMeasured(what, "aucune sauvegarde n'est prévue");
  const made = known.drills.filter(({ at }) => new Date(at) >= window.from && new Date(at) <= window.until);
  const failed = made.filter(({ passed }) => !passed);
  const counted = `${plural(made.length, "essai")}, ${plural(failed.length, "échoué")}`;
  if (failed.length > 0) return { what, verdict: "worse", text: counted };
  const oldest = age("drillDays", { source: "drills", now, environment });
  return { ...oldest, what, text: `${counted}, au plus ${oldest.text}` };
}

/** The oldest that it was in that time. */
function age(
  key: string,
  { source, now, environment }: { readonly source: Source } & Pick<Measured, "now" | "environment">,
): Finding {
  const { unit, limit } = metricsByKey(environment).get(key)!;
  const what = nameOf(key);
  const [gap, value] = [gapOf(now, source), now.values.get(key)];
  if (gap !== undefined || value === undefined) return notMeasured(what, gap ?? "aucune mesure");
  const over = isOver(value, limit);
  const text = `${formatMetric(value, unit)}${over ? `, ${thresholdOf(limit!, unit)}` : ""}`;
  return { what, verdict: over ? "worse" : "ok", text };
}

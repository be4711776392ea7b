/** Reads metrics from the store. A value that is missing is undefined, never 0. */
import { z } from "zod";

import type { Metric, Span } from "./metric-catalog.ts";
import { parseAnswer, StoreRefused, StoreSilent, type StoreCall, type Stores } from "./stores.ts";

export const DAY: Span = { text: "24h", seconds: 86_400 };
export const MONTH: Span = { text: "30d", seconds: 30 * 86_400 };

/** Of the chart: one point is the value over an hour. */
const HOUR: Span = { text: "1h", seconds: 3600 };
export const POINTS = 24;

export interface Row {
  readonly metric: Metric;

  /** With the name of the service or of the server, where there are several. */
  readonly title: string;
  readonly key: string;
  readonly now: number | undefined;
  readonly day: number | undefined;
  readonly month: number | undefined;

  /** Oldest first. */
  readonly chart: readonly (number | undefined)[];

  /** Why nothing is known of it, where that is not just missing. */
  readonly problem?: string;
}

const labels = z.record(z.string(), z.string());
const instant = z.looseObject({
  data: z.looseObject({
    result: z.array(z.looseObject({ metric: labels, value: z.tuple([z.number(), z.string()]) })),
  }),
});
const range = z.looseObject({
  data: z.looseObject({
    result: z.array(z.looseObject({ metric: labels, values: z.array(z.tuple([z.number(), z.string()])) })),
  }),
});

/** @throws StoreSilent where the store does not answer */
export async function readMetrics(
  stores: Pick<Stores, "askAll">,
  { metrics, now }: { readonly metrics: readonly Metric[]; readonly now: Date },
): Promise<readonly Row[]> {
  const at = Math.floor(now.getTime() / 1000);
  const calls = metrics.flatMap((metric) => callsOf(metric, at));
  const answers = await stores.askAll(calls);
  return metrics.flatMap((metric, index) => {
    const [from, until] = [index * CALLS, (index + 1) * CALLS];
    return rowsOf(metric, { at, calls: calls.slice(from, until), answers: answers.slice(from, until) });
  });
}

/** The one value of each query at a moment; undefined where there is none. */
export async function readValues(
  stores: Pick<Stores, "askAll">,
  { queries, at }: { readonly queries: readonly string[]; readonly at: Date },
): Promise<readonly (number | undefined)[]> {
  const time = String(Math.floor(at.getTime() / 1000));
  const calls = queries.map((query): StoreCall => ({
    ...{ store: "metrics", path: "/api/v1/query" },
    form: { query, time },
  }));
  const answers = await stores.askAll(calls);
  return answers.map((answer, index) => {
    if (typeof answer !== "string") throw answer;
    const [first] = parseAnswer(calls[index]!, { text: answer, shape: instant }).data.result;
    return first && numberIn(first.value[1]);
  });
}

interface RangeQuery {
  readonly queries: readonly string[];
  readonly from: Date;
  readonly until: Date;
  readonly stepSeconds: number;
}

/** For each query its value at each step, both ends included; undefined where there is none. */
export async function readRanges(
  stores: Pick<Stores, "askAll">,
  { queries, from, until, stepSeconds }: RangeQuery,
): Promise<readonly (readonly (number | undefined)[])[]> {
  const [start, end] = [from, until].map((moment) => Math.floor(moment.getTime() / 1000)) as [number, number];
  const calls = queries.map((query): StoreCall => ({
    ...{ store: "metrics", path: "/api/v1/query_range" },
    form: { query, start: String(start), end: String(end), step: `${stepSeconds}s` },
  }));
  const answers = await stores.askAll(calls);
  return answers.map((answer, index) => {
    if (typeof answer !== "string") throw answer;
    const { result } = parseAnswer(calls[index]!, { text: answer, shape: range }).data;
    const count = Math.floor((end - start) / stepSeconds) + 1;
    const points = Array<number | undefined>(count).fill(undefined);
    for (const [time, value] of result[0]?.values ?? []) {
      const place = Math.round((time - start) / stepSeconds);
      if (place >= 0 && place < count) points[place] = numberIn(value);
    }
    return points;
  });
}

const CALLS = 4;

function callsOf({ now, over }: Metric, at: number): StoreCall[] {
  const ask = (query: string): StoreCall => ({
    ...{ store: "metrics", path: "/api/v1/query" },
    form: { query, time: String(at) },
  });
  const chart: StoreCall = {
    ...{ store: "metrics", path: "/api/v1/query_range" },
    form: {
      ...{ query: over(HOUR), start: String(at - (POINTS - 1) * HOUR.seconds), end: String(at) },
      step: HOUR.text,
    },
  };
  return [ask(now), ask(over(DAY)), ask(over(MONTH)), chart];
}

interface Answered {
  readonly at: number;
  readonly calls: readonly StoreCall[];
  readonly answers: readonly (string | StoreSilent | StoreRefused)[];
}

type Values = ReadonlyMap<string, number>;

function rowsOf(metric: Metric, { at, calls, answers }: Answered): Row[] {
  const refused = answers.find((answer) => answer instanceof StoreRefused);
  const silent = answers.find((answer) => answer instanceof StoreSilent);
  if (silent) throw silent;
  const nothing = { now: undefined, day: undefined, month: undefined };
  if (refused) {
    const problem = refused.message;
    return [{ ...nothing, metric, title: metric.title, key: metric.key, chart: [], problem }];
  }
  const [now, day, month] = [0, 1, 2].map((index) =>
    valuesIn(metric, calls[index]!, answers[index] as string),
  ) as [Values, Values, Values];
  const charts = chartsIn(metric, { call: calls[3]!, text: answers[3] as string, at });
  const names = metric.by === undefined ? [""] : [...new Set([...now.keys(), ...day.keys()])].sort();
  return names.map((name) => ({
    metric,
    title: name === "" ? metric.title : `${metric.title} ${name}`,
    key: name === "" ? metric.key : `${metric.key}.${name}`,
    ...{ now: now.get(name), day: day.get(name), month: month.get(name), chart: charts.get(name) ?? [] },
  }));
}

function nameIn({ by }: Metric, found: Readonly<Record<string, string>>): string {
  return by === undefined ? "" : (found[by] ?? "");
}

function valuesIn(metric: Metric, call: StoreCall, text: string): Values {
  const { result } = parseAnswer(call, { text, shape: instant }).data;
  return new Map(
    result.flatMap((row) => {
      const value = numberIn(row.value[1]);
      return value === undefined ? [] : [[nameIn(metric, row.metric), value] as const];
    }),
  );
}

function chartsIn(
  metric: Metric,
  { call, text, at }: { readonly call: StoreCall; readonly text: string; readonly at: number },
): ReadonlyMap<string, readonly (number | undefined)[]> {
  const { result } = parseAnswer(call, { text, shape: range }).data;
  return new Map(
    result.map((row) => {
      const points = Array<number | undefined>(POINTS).fill(undefined);
      for (const [time, value] of row.values) {
        const place = POINTS - 1 - Math.round((at - time) / HOUR.seconds);
        if (place >= 0 && place < POINTS) points[place] = numberIn(value);
      }
      return [nameIn(metric, row.metric), points] as const;
    }),
  );
}

function numberIn(text: string): number | undefined {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) ? undefined : value;
}

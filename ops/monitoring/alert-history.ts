/** `npm run alerts -- <stack> history`: which alerts there were, from when to when, from the series that the rules write. */
import { z } from "zod";

import type { Outcome } from "../command.ts";
import { readHistory } from "../server/records.ts";
import { renderTable } from "../terminal.ts";
import { AFTERMATH, ESCALATION, WATCHDOG, type Labels } from "./alertmanager.ts";
import { idOf } from "./alerts.ts";
import { onMonitored } from "./deployed.ts";
import { momentOf, renderMoment, renderSpan } from "./durations.ts";
import { acknowledged } from "./silences.ts";
import type { Stores } from "./stores.ts";
import type { MonitoringWorld } from "./world.ts";

/** Answers of one series: keeps what is read below what a connection may give. */
const MOST_STEPS = 5000;

/** The store leaves out what it has taken in less than a second ago. */
const FRESH_SECONDS = 2;

export interface Episode {
  readonly id: string;
  readonly severity: string;
  readonly title: string;
  readonly labels: Labels;
  readonly from: Date;
  readonly until: Date;

  /** Whether it goes on. */
  readonly isActive: boolean;
}

const series = z.looseObject({
  data: z.looseObject({
    result: z.array(
      z.looseObject({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
});

export async function showHistory(
  { stack, since, json }: { readonly stack: string; readonly since: string; readonly json: boolean },
  world: MonitoringWorld,
): Promise<Outcome> {
  const [now, from] = [world.now(), momentOf("--since", { text: since, now: world.now() })];
  return await onMonitored(stack, world, async ({ stores, environment, server }) => {
    const evaluationSeconds = environment.monitoring.scrapeSeconds;
    const all = await readEpisodes(stores, { from, until: now, evaluationSeconds });
    const episodes = all.filter(({ labels }) => labels["alertname"] !== AFTERMATH);
    const { events } = await readHistory(server);
    const rows = episodes.map((episode) => {
      const acknowledgement = events.find(
        ({ action, detail, at }) =>
          action === "alert" &&
          detail.startsWith(`${acknowledged(episode.id)} `) &&
          Date.parse(at) >= episode.from.getTime() &&
          Date.parse(at) <= episode.until.getTime() + FRESH_SECONDS * 1000,
      );
      return { ...episode, acknowledgedBy: acknowledgement?.who };
    });
    if (json) return { text: JSON.stringify(rows, null, 2), exitCode: 0 };
    if (rows.length === 0)
      return {
        text: `${stack}: no alert since ${renderMoment(from)}, as far as the rules were evaluated`,
        exitCode: 0,
      };
    const table = renderTable({
      headings: ["Severity", "Alert", "From", "Until", "Lasted", "Acknowledged"],
      rows: rows.map((row) => [
        row.severity,
        row.id,
        renderMoment(row.from),
        row.isActive ? "still active" : renderMoment(row.until),
        renderSpan((row.until.getTime() - row.from.getTime()) / 1000),
        row.acknowledgedBy ?? "",
      ]),
    });
    return { text: table, exitCode: 0 };
  });
}

interface Span {
  readonly from: Date;
  readonly until: Date;

  /** Time between two evaluations of a rule. */
  readonly evaluationSeconds: number;
}

/** Newest first; alerts of tests are among them, and those that only explain others. */
export async function readEpisodes(stores: Pick<Stores, "read">, span: Span): Promise<readonly Episode[]> {
  const [start, end] = [span.from, span.until].map((moment) => Math.floor(moment.getTime() / 1000)) as [
    number,
    number,
  ];
  // A window must hold an evaluation, or a gap would look like the end of the alert.
  const step = Math.max(2 * span.evaluationSeconds, Math.ceil((end - start) / MOST_STEPS));
  const selected = `ALERTS{alertstate="firing",alertname!~"${WATCHDOG}|${ESCALATION}"}[${step}s]`;
  const ask = (rollup: string) =>
    stores.read(
      {
        store: "metrics",
        path: "/api/v1/query_range",
        form: { query: `${rollup}(${selected})`, start: String(start), end: String(end), step: `${step}s` },
      },
      series,
    );
  // The times of the first and the last sample in each window: exact, whatever the step.
  const [first, last] = [await ask("tfirst_over_time"), await ask("tlast_over_time")];
  const ends = new Map(last.data.result.map(({ metric, values }) => [keyOf(metric), values]));
  return first.data.result
    .flatMap(({ metric, values }) =>
      episodesOf(metric, { begins: values, ends: ends.get(keyOf(metric)) ?? [] }, { ...span, step }),
    )
    .sort((one, other) => other.from.getTime() - one.from.getTime());
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort());
}

type Values = readonly (readonly [at: number, value: string])[];

function episodesOf(
  labels: Labels,
  { begins, ends }: { readonly begins: Values; readonly ends: Values },
  { until, evaluationSeconds, step }: Span & { readonly step: number },
): Episode[] {
  const lasts = new Map(ends.map(([at, value]) => [at, Number(value)]));
  const spans: { from: number; until: number }[] = [];
  for (const [at, value] of begins) {
    const [from, last] = [Number(value), lasts.get(at) ?? at];
    const open = spans.at(-1);
    // One evaluation may be missed.
    if (open !== undefined && from - open.until <= 3 * evaluationSeconds) open.until = last;
    else spans.push({ from, until: last });
  }
  const fresh = until.getTime() / 1000 - Math.max(3 * evaluationSeconds, step) - FRESH_SECONDS;
  return spans.map((span, index) => ({
    id: idOf(labels),
    severity: labels["severity"] ?? "",
    title: labels["alertname"] ?? "",
    labels,
    from: new Date(span.from * 1000),
    until: new Date(span.until * 1000),
    isActive: index === spans.length - 1 && span.until >= fresh,
  }));
}

/** `npm run metrics`: the team's metrics now, over a day and over a month, against the thresholds of the alerts. */
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { renderTable } from "../terminal.ts";
import { onMonitored, orReason, type Monitored } from "./deployed.ts";
import { availability, metricsOf, type Metric, type Unit } from "./metric-catalog.ts";
import { readMetrics, type Row } from "./metric-values.ts";
import { noteUsage, readUsage } from "./usage.ts";
import type { MonitoringWorld } from "./world.ts";

const BARS = "▁▂▃▄▅▆▇█";

/** A gap in a chart: nothing was measured, which is another thing than 0. */
const GAP = "·";
const NO_DATA = "no data";

/** A terminal that is narrower wraps the table's lines itself. */
const WIDTH = 132;

export async function showMetrics(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: MonitoringWorld,
): Promise<Outcome> {
  return await onMonitored(stack, world, async ({ stores, environment }) => {
    const metrics = metricsOf(environment, { ofEachServer: true });
    const rows = [
      ...(await readFromOutside({ stack, environment }, world)),
      ...(await readMetrics(stores, { metrics, now: world.now() })),
    ];
    const used = await readUsage(stores, world.now());
    if (used !== undefined) await noteUsage(environment, used);
    return { text: json ? asJson(stack, rows) : render(rows), exitCode: 0 };
  });
}

const OUTSIDE = { key: "availability", title: "Availability" };

/** Each neighbour measures this environment from its own server. */
async function readFromOutside(
  { stack, environment }: Pick<Monitored, "stack" | "environment">,
  world: MonitoringWorld,
): Promise<Row[]> {
  const { neighbours, scrapeSeconds } = environment.monitoring;
  const metric: Metric = {
    ...availability(neighbourSelector(stack), scrapeSeconds),
    ...OUTSIDE,
  };
  const unknown = (title: string, problem: string): Row => ({
    ...{ metric, title, key: OUTSIDE.key, problem, chart: [] },
    ...{ now: undefined, day: undefined, month: undefined },
  });
  if (neighbours.length === 0)
    return [
      unknown(
        `${OUTSIDE.title}, from outside`,
        "nobody measures it: technicia:monitoring.neighbours is empty",
      ),
    ];
  const rows: Row[] = [];
  for (const neighbour of neighbours) {
    const title = `${OUTSIDE.title}, from ${neighbour.stack}`;
    const found = await orReason(
      onMonitored(neighbour.stack, world, ({ stores, environment: theirs }) => {
        const own = { ...metric, ...availability(neighbourSelector(stack), theirs.monitoring.scrapeSeconds) };
        return readMetrics(stores, { metrics: [own], now: world.now() });
      }),
    );
    const [row] = found instanceof UserError ? [] : found;
    const problem =
      found instanceof UserError ? `${neighbour.stack} cannot be asked: ${found.message}` : undefined;
    rows.push(row === undefined ? unknown(title, problem ?? NO_DATA) : { ...row, title });
  }
  return rows;
}

/** What a neighbour has measured of the stack, from its own server. */
export const neighbourSelector = (stack: string): string =>
  `probe_success{job="neighbour",stack=${JSON.stringify(stack)}}`;

function render(rows: readonly Row[]): string {
  const table = renderTable({
    headings: ["Metric", "Now", "24 h", "30 d", "Of the values", "Threshold", "", "24 h, an hour each"],
    rows: rows.map((row) => [
      row.title,
      show(row.now, row.metric.unit),
      show(row.day, row.metric.unit),
      show(row.month, row.metric.unit),
      row.metric.kind,
      renderLimit(row.metric),
      markOf(row),
      sparkline(row.chart),
    ]),
    width: WIDTH,
  });
  const problems = rows.flatMap(({ title, problem }) =>
    problem === undefined ? [] : [`${title}: ${problem}`],
  );
  return [table, ...problems].join("\n");
}

function show(value: number | undefined, unit: Unit): string {
  if (value === undefined) return NO_DATA;
  // Three digits, and all of an availability that is nearly whole.
  const digits =
    unit === "%" && value > 99 && value < 100
      ? 3
      : Math.abs(value) >= 100
        ? 0
        : Math.abs(value) >= 10
          ? 1
          : 2;
  return `${value.toFixed(digits)}${unit === "" || unit === "/s" ? unit : ` ${unit}`}`;
}

function renderLimit({ limit, unit }: Metric): string {
  if (limit === undefined) return "";
  return `${limit.side === "above" ? "≤" : "≥"} ${limit.value}${unit === "" ? "" : ` ${unit}`}`;
}

/** Of the value now. */
export function markOf({
  metric: { limit },
  now,
}: Pick<Row, "metric" | "now">): "ok" | "over" | "no data" | "" {
  if (now === undefined) return NO_DATA;
  if (limit === undefined) return "";
  const isOver = limit.side === "above" ? now > limit.value : now < limit.value;
  return isOver ? "over" : "ok";
}

/** From the lowest to the highest of the values, which are all the same where nothing changed. */
export function sparkline(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return NO_DATA;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const heightOf = (value: number) => {
    if (most === least) return most === 0 ? 0 : Math.floor(BARS.length / 2);
    return Math.round(((value - least) / (most - least)) * (BARS.length - 1));
  };
  return values.map((value) => (value === undefined ? GAP : BARS[heightOf(value)]!)).join("");
}

function asJson(stack: string, rows: readonly Row[]): string {
  const metrics = rows.map((row) => ({
    ...{ key: row.key, title: row.title, unit: row.metric.unit, kind: row.metric.kind },
    ...{ now: row.now ?? null, day: row.day ?? null, month: row.month ?? null },
    limit: row.metric.limit ?? null,
    mark: markOf(row),
    chart: row.chart.map((value) => value ?? null),
    ...(row.problem === undefined ? {} : { problem: row.problem }),
  }));
  return JSON.stringify({ stack, metrics }, null, 2);
}

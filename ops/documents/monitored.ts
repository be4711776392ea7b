/** What the page shows of the last 30 days: availability from outside, alerts, times and errors. */
import { UserError } from "../../common/user-error.ts";
import type { Monitored } from "../../reports/facts.ts";
import { onMonitored, orReason, type Monitored as Reached, type Reach } from "../monitoring/deployed.ts";
import { readFaults } from "../monitoring/faults.ts";
import { availability, metricsOf, type Span } from "../monitoring/metric-catalog.ts";
import { neighbourSelector } from "../monitoring/metrics.ts";
import { MONTH, readRanges, readValues } from "../monitoring/metric-values.ts";
import { MonitoringOff } from "../monitoring/stores.ts";
import type { FactSources } from "./facts.ts";

const HOURS = 12;
const POINT: Span = { text: `${HOURS}h`, seconds: HOURS * 3600 };
const DRAWN = ["p50", "p95", "p99", "errors"] as const;

export interface ReaderWorld extends Reach {
  readonly now: () => Date;
}

export function monitoringReader(world: ReaderWorld): NonNullable<FactSources["readMonitoring"]> {
  return async (stack) => {
    try {
      return await onMonitored(stack, world, (reached) => readMonitored(reached, world));
    } catch (error) {
      if (error instanceof MonitoringOff) return "off";
      throw error;
    }
  };
}

async function readMonitored(
  { stack, environment, stores }: Reached,
  world: ReaderWorld,
): Promise<Monitored> {
  const until = world.now();
  const from = new Date(until.getTime() - MONTH.seconds * 1000);
  const alerts = await readFaults(stores, {
    ...{ from, until, severities: ["P1", "P2", "P3"] },
    evaluationSeconds: environment.monitoring.scrapeSeconds,
  });
  const metrics = new Map(metricsOf(environment).map((metric) => [metric.key, metric]));
  const queries = DRAWN.map((key) => metrics.get(key)!.over(POINT));
  const first = new Date(from.getTime() + POINT.seconds * 1000);
  const [p50 = [], p95 = [], p99 = [], failed = []] = await readRanges(stores, {
    ...{ queries, from: first, until, stepSeconds: POINT.seconds },
  });
  return {
    availability: await readOutside({ stack, environment }, world),
    alerts: alerts.map(({ id, severity, from: begin, until: end, isActive, quiet }) => ({
      ...{ id, severity, from: begin, until: end, isActive, quiet },
    })),
    pointHours: HOURS,
    points: p50.map((_, index) => ({
      at: new Date(first.getTime() + index * POINT.seconds * 1000),
      p50Seconds: p50[index],
      p95Seconds: p95[index],
      p99Seconds: p99[index],
      failedPercent: failed[index],
    })),
  };
}

async function readOutside(
  { stack, environment }: Pick<Reached, "stack" | "environment">,
  world: ReaderWorld,
): Promise<Monitored["availability"]> {
  const views: Monitored["availability"][number][] = [];
  for (const { stack: by } of environment.monitoring.neighbours) {
    const found = await orReason(
      onMonitored(by, world, async ({ stores, environment: theirs }) => {
        const selector = neighbourSelector(stack);
        const { over } = availability(selector, theirs.monitoring.scrapeSeconds);
        const queries = [over(MONTH), `min(tfirst_over_time(${selector}[${MONTH.text}]))`];
        const [percent, since] = await readValues(stores, { queries, at: world.now() });
        return { percent, since: since === undefined ? undefined : new Date(since * 1000) };
      }),
    );
    views.push(found instanceof UserError ? { by, why: found.message } : { by, ...found });
  }
  return views;
}

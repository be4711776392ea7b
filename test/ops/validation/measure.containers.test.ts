/** The questions about a release's first day, asked of the real store with two days of samples. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import { readFaults } from "../../../ops/monitoring/faults.ts";
import { availability } from "../../../ops/monitoring/metric-catalog.ts";
import { readValues } from "../../../ops/monitoring/metric-values.ts";
import { neighbourSelector } from "../../../ops/monitoring/metrics.ts";
import { parseAnswer, type StoreCall, type Stores } from "../../../ops/monitoring/stores.ts";
import { readMeasures } from "../../../ops/validation/measure.ts";
import { monitoringFacts } from "../../components/monitoring/facts.ts";
import { post, startMetrics, type RunningProgram } from "../../components/monitoring/program.ts";
import { environmentWith } from "../../support/fixtures.ts";

const DAY = 86_400;
const NOW = Math.floor(Date.now() / 60_000) * 60 - 120;
const BEGAN = NOW - DAY;
const environment = environmentWith({ monitoring: { enabled: true, scrapeSeconds: 60 } });
const day = { from: new Date(BEGAN * 1000), until: new Date(NOW * 1000) };
const before = { from: new Date((BEGAN - DAY) * 1000), until: day.from };

let store: RunningProgram;
let stores: Stores;

/** Series → its value at a moment; undefined: no sample. */
const SERIES: Readonly<Record<string, (at: number) => number | undefined>> = {
  'gateway{group="all",stats_result="requests"}': () => 300,
  'gateway{group="all",stats_result="failed"}': (at) => (at > BEGAN ? 3 : 0),
  'gateway{group="all",stats_result="p95"}': (at) => (at > BEGAN ? 0.8 : 0.4),
  'ALERTS{alertname="Watchdog",alertstate="firing",id="Watchdog"}': (at) =>
    at < BEGAN || at < NOW - 6 * 3600 ? 1 : undefined,
  'ALERTS{alertname="ServiceDown",alertstate="firing",severity="P1",id="ServiceDown-n8n"}': (at) =>
    at >= BEGAN + 7200 && at <= BEGAN + 7920 ? 1 : undefined,
  // What was seen of it for a while, explained by nothing but the time after it; and that time itself.
  'ALERTS{alertname="CrashLoop",alertstate="firing",severity="P1",id="CrashLoop-n8n",service="n8n"}': (at) =>
    at >= BEGAN + 7920 && at <= BEGAN + 8700 ? 1 : undefined,
  'ALERTS{alertname="Aftermath",alertstate="firing",severity="info",id="Aftermath-quarter-ServiceDown",cause="ServiceDown",span="quarter",service="n8n"}':
    (at) => (at >= BEGAN + 7200 && at <= BEGAN + 8880 ? 1 : undefined),
  node_memory_MemAvailable_bytes: (at) => 6e9 - (1e9 * (at - BEGAN)) / DAY,
  node_memory_MemTotal_bytes: () => 1e10,
  'technicia_task_starts_total{service="n8n"}': (at) => (at > BEGAN + 3600 ? 7 : 5),
  'probe_success{job="neighbour",stack="test"}': (at) => (at > NOW - 864 ? undefined : 1),
  technicia_backup_last_success_timestamp_seconds: (at) => at - 3600,
};

beforeAll(async () => {
  store = await startMetrics();
  const lines = Object.entries(SERIES).flatMap(([name, valueAt]) =>
    Array.from({ length: (2 * DAY) / 60 + 1 }, (_, index) => BEGAN - DAY + index * 60).flatMap((at) => {
      const value = valueAt(at);
      return value === undefined ? [] : [`${name} ${value} ${at * 1000}`];
    }),
  );
  await post(`${store.url}/api/v1/import/prometheus`, lines.join("\n"));
  await post(`${store.url}/internal/force_flush`, "");
  const ask = async ({ store: name, path, form = {} }: StoreCall) => {
    if (name === "metrics") return await post(`${store.url}${path}`, new URLSearchParams(form));
    return path.endsWith("/status")
      ? JSON.stringify({ config: { original: renderAlertmanager(monitoringFacts()) } })
      : "[]";
  };
  stores = {
    ask,
    askAll: (calls) => Promise.all(calls.map(ask)),
    read: async (call, shape) => parseAnswer(call, { text: await ask(call), shape }),
  };
});
afterAll(() => store.stop());

it("finds what a day was, what the day before was, and how much of each was measured", async () => {
  const [now, earlier] = [
    await readMeasures(stores, { environment, period: day }),
    await readMeasures(stores, { environment, period: before }),
  ];
  const rounded = (values: ReadonlyMap<string, number | undefined>, key: string) =>
    Number(values.get(key)?.toFixed(1));

  expect(
    ["errors", "p95", "restarts", "requests", "backupHours"].map((key) => rounded(now.values, key)),
  ).toEqual([1, 0.8, 2, 1, 1]);
  expect(["errors", "p95", "restarts"].map((key) => rounded(earlier.values, key))).toEqual([0, 0.4, 0]);
  expect(now.values.get("disk")).toBeUndefined();
  expect(now.trends.get("memory")!.perDay).toBeCloseTo(10, 3);
  expect(now.trends.get("memory")!.last).toBeCloseTo(50, 0);
  expect(now.covered.get("rules")).toBeCloseTo(0.75, 1);
  expect([now.covered.get("requests"), earlier.covered.get("rules"), now.covered.get("drills")]).toEqual([
    1, 1, 0,
  ]);
});

it("finds the day's faults with their times", async () => {
  const faults = await readFaults(stores, { ...day, evaluationSeconds: 60 });

  expect(faults).toMatchObject([
    {
      ...{ id: "ServiceDown-n8n", isActive: false, isOver: true, quiet: undefined },
      from: new Date((BEGAN + 7200) * 1000),
      until: new Date((BEGAN + 7920) * 1000),
    },
    { id: "CrashLoop-n8n", quiet: "explained" },
  ]);
});

it("counts a neighbour's missing samples as unavailable", async () => {
  const { over } = availability(neighbourSelector("test"), 60);
  const [percent] = await readValues(stores, {
    queries: [over({ text: `${DAY}s`, seconds: DAY })],
    at: day.until,
  });

  expect(percent).toBeCloseTo(99, 0);
  expect(percent).toBeLessThan(99.2);
});

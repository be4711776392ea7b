/** From a fault to the message about it, from a bad release to the one before, and what the monitoring itself takes. */
import { setTimeout as delay } from "node:timers/promises";

import { LOOPBACK_PORTS } from "../../common/monitoring.ts";
import { until } from "../../common/until.ts";
import { neighbourOf, watchesNeighbour } from "../neighbour.ts";
import { addWebhooks, REMOVE_WEBHOOKS, type Webhook } from "./faulty-webhooks.ts";
import type { Operate } from "./floors.ts";
import { measure, type Measure, verdict } from "./measure.ts";
import { type Follow, measureBadReleases } from "./recovery.ts";
import { firstWaitOf, onServer, scale, stopService, untilCalm } from "./server.ts";
import { readTold, type Receiver } from "./told.ts";
import { answers, EVERYTHING, measureUnderTraffic, type Question } from "./traffic.ts";

/** From one measurement to the next, and after a rule's time; in seconds. */
const MEASUREMENT_SECONDS = 15;
const DELIVERY_SECONDS = 15;

/** Until a neighbour knows of a silence. */
const DEADMAN_SECONDS = 360;
const RESIDENT_MIB = 300;
const CORE_PERCENT = 5;

/** How long the processors are measured. */
const WATCH_SECONDS = 120;

/** Port on the server's loopback of what evaluates the rules about metrics, and of the metrics' store. */
const RULES = `http://127.0.0.1:${LOOPBACK_PORTS["metric-rules"]}`;
const METRICS = `http://127.0.0.1:${LOOPBACK_PORTS.metrics}`;

export async function measureMonitoring(operate: Operate, follow: Follow): Promise<Measure[]> {
  return [
    ...(await measureSize()),
    ...(await measureGrowth()),
    await measureDelivery(),
    await measureFailingRequests(),
    await measureDeadman(),
    ...(await measureBadReleases(operate, follow)),
  ];
}

/** Processes of the programs' containers and of what the host runs for them. */
const PROCESSES = `
for alias in metrics logs metric-rules log-rules alerts probes; do
  docker top "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-$alias)" -eo pid | tail -n +2
done
for unit in prometheus-node-exporter technicia-collect systemd-journal-upload; do
  systemctl show --property MainPID --value "$unit.service"
done`;

/** Two lines: KiB that they hold, each page counted once, and clock ticks that they have used. */
const USAGE = `
resident=0 ticks=0
for id in $(${PROCESSES}); do
  resident=$((resident + $(awk '/^Pss:/ { kib += $2 } END { print kib + 0 }' "/proc/$id/smaps_rollup")))
  ticks=$((ticks + $(cut --delimiter ' ' --fields 14,15 "/proc/$id/stat" | tr ' ' +)))
done
echo "$resident"; echo "$ticks"`;

async function readUsage(): Promise<{ readonly mib: number; readonly seconds: number }> {
  const [kib = 0, ticks = 0] = (await onServer(USAGE)).trim().split("\n").map(Number);
  const perSecond = Number(await onServer("getconf CLK_TCK"));
  return { mib: Math.round(kib / 1024), seconds: ticks / perSecond };
}

/** Memory and processor time of all of it together. */
async function measureSize(): Promise<Measure[]> {
  console.error("measuring: the monitoring's own size …");
  const before = await readUsage();
  await delay(WATCH_SECONDS * 1000);
  const after = await readUsage();
  const peakMib = Math.max(before.mib, after.mib);
  const percent = (100 * (after.seconds - before.seconds)) / WATCH_SECONDS;
  const seconds = WATCH_SECONDS;
  return [
    {
      ...{ name: "monitoring: memory of all programs", seconds, peakMib },
      target: verdict(peakMib <= RESIDENT_MIB, `at most ${RESIDENT_MIB} MiB`),
    },
    {
      ...{ name: `monitoring: ${percent.toFixed(1)} % of one core`, seconds },
      target: verdict(percent <= CORE_PERCENT, `at most ${CORE_PERCENT} %`),
    },
  ];
}

/** Where each store tells of itself: of its rows the number that came in, and those that it keeps with what they take on the disk. */
const STORES = {
  metrics: {
    url: METRICS,
    came: /^vm_rows_inserted_total\{/,
    kept: /^vm_rows\{type="storage/,
    bytes: /^vm_data_size_bytes\{/,
  },
  logs: {
    url: "http://127.0.0.1:9428",
    came: /^vl_rows_ingested_total\{/,
    kept: /^vl_storage_rows\{/,
    bytes: /^vl_compressed_data_size_bytes\{/,
  },
} as const;

/** What a day adds: the rows that came in since the store's start, at the bytes that each takes. */
async function measureGrowth(): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const [store, { url, came, kept, bytes }] of Object.entries(STORES)) {
    const lines = (await onServer(`curl --silent --fail ${url}/metrics`)).split("\n");
    const sum = (pattern: RegExp) =>
      lines
        .filter((line) => pattern.test(line))
        .reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
    const uptime = sum(/^vm_app_uptime_seconds /);
    const mib = ((sum(came) / uptime) * 86_400 * sum(bytes)) / sum(kept) / 1024 / 1024;
    measures.push({ name: `monitoring: ${store} grow by ${mib.toFixed(1)} MiB a day`, seconds: uptime });
  }
  return measures;
}

/** Seconds for which a rule waits, as its evaluator has it. */
async function waitOf(name: string): Promise<number> {
  const answer = await onServer(`curl --silent --fail ${RULES}/api/v1/rules`);
  const { data } = JSON.parse(answer) as {
    data: { groups: { rules: { name: string; duration?: number }[] }[] };
  };
  const rule = data.groups.flatMap(({ rules }) => rules).find((one) => one.name === name);
  if (rule?.duration === undefined) throw new Error(`${name}: expected a rule with a time, got none`);
  return rule.duration;
}

const EVERYBODY: readonly Receiver[] = ["team", "slack", "pager"];

/** A service is stopped; who is called, mailed and written to knows it. */
async function measureDelivery(): Promise<Measure> {
  const seconds = await waitOf("ServiceDown");
  // Its window is the measurements that have to fail: those of its time, and the first.
  const limit = seconds + MEASUREMENT_SECONDS + DELIVERY_SECONDS;
  await stopService("vector-store");
  const begun = Date.now();
  try {
    const measured = await measure("fault → delivered to everybody", {
      step: () => untilTold(begun, { id: "ServiceDown-vector-store", limit: 2 * limit }),
    });
    return { ...measured, target: verdict(measured.seconds <= limit, `at most ${limit} s`) };
  } finally {
    await scale("vector-store", 1);
  }
}

/** Asked by GET, in the pace of `N8N`. */
const BROKEN: Question = { path: "/webhook/bench-broken", status: 500, apart: 250 };
const BROKEN_WEBHOOK: Webhook = { path: "bench-broken", method: "GET", status: 500 };

/**
 * A workflow answers 500, and everybody knows it. Such messages wait on purpose, so that a service that is dead is told instead (decision
 * 0014): both the promise and what was decided are judged.
 */
async function measureFailingRequests(): Promise<Measure> {
  // The rule has no time of its own: the first evaluation that sees enough requests fires.
  const promised = MEASUREMENT_SECONDS + DELIVERY_SECONDS;
  const decided = promised + (await firstWaitOf("ErrorRateCritical", "P1"));
  await onServer(addWebhooks([BROKEN_WEBHOOK]));
  try {
    await untilAnswered(BROKEN);
    await untilCalm();
    const { name, seconds } = await measureUnderTraffic(
      "requests fail → delivered to everybody",
      () => untilTold(Date.now(), { id: "ErrorRateCritical", limit: 2 * decided }),
      BROKEN,
    );
    const waiting = `with the wait of decision 0014 ${verdict(seconds <= decided, `at most ${decided} s`)}`;
    return { name, seconds, target: `${verdict(seconds <= promised, `at most ${promised} s`)}; ${waiting}` };
  } finally {
    await onServer(REMOVE_WEBHOOKS);
    await untilAnswered(EVERYTHING);
  }
}

const untilAnswered = (question: Question) =>
  until(() => answers(question), {
    limit: 120_000,
    late: () => new Error(`${question.path}: expected status ${question.status} within two minutes`),
  });

async function untilTold(
  since: number,
  { id, limit, stack = "test" }: { readonly id: string; readonly limit: number; readonly stack?: string },
): Promise<void> {
  const late = () => new Error(`${id}: expected everybody to be told within ${limit} s`);
  await until(
    async () => {
      const told = (await readTold(since)).filter(
        (one) => one.id === id && one.stack === stack && one.status === "firing",
      );
      return EVERYBODY.every((receiver) => told.some((one) => one.receiver === receiver));
    },
    { limit: limit * 1000, every: 250, late },
  );
}

/** Alertmanager is stopped, and the neighbour's people know that nothing is heard of this environment any more. */
async function measureDeadman(): Promise<Measure> {
  const name = "dead man's switch: stopped → told by the neighbour";
  if (!(await watchesNeighbour("test"))) {
    const how = "npm start -- --neighbour, then npm run bench -- monitoring";
    return { name, seconds: NaN, target: `not measured, there is no neighbour: ${how}` };
  }
  await stopService("alerts");
  const begun = Date.now();
  try {
    const silent = { id: "NeighbourSilent-test", stack: neighbourOf("test"), limit: 2 * DEADMAN_SECONDS };
    const measured = await measure(name, { step: () => untilTold(begun, silent) });
    const isMet = measured.seconds <= DEADMAN_SECONDS;
    return { ...measured, target: verdict(isMet, `at most ${DEADMAN_SECONDS} s`) };
  } finally {
    await scale("alerts", 1);
  }
}

/** From a fault to the message about it, from a bad release to the one before, and what the monitoring itself takes. */
import { setTimeout as delay } from "node:timers/promises";

import { run } from "../../common/run.ts";
import { until } from "../../common/until.ts";
import { docker } from "../docker.ts";
import { SERVER } from "../world.ts";
import { imageOf, makeIll, OBSERVING, offerBadReleases } from "./bad-releases.ts";
import type { Operate } from "./floors.ts";
import { measure, type Measure } from "./measure.ts";
import { readCalls, readTold, type Receiver } from "./told.ts";
import { measureUnderTraffic } from "./traffic.ts";

/** After a rule's time, in seconds. */
const DELIVERY_SECONDS = 15;

/** Until a neighbour knows of a silence. */
const DEADMAN_SECONDS = 360;
const RESIDENT_MIB = 300;
const CORE_PERCENT = 5;
const RECOVERY_SECONDS = 300;

/** How long the processors are measured. */
const WATCH_SECONDS = 120;

const OBSERVATION_SECONDS = 300;

/** Port on the server's loopback of what evaluates the rules about metrics, and of the metrics' store. */
const RULES = "http://127.0.0.1:8880";
const METRICS = "http://127.0.0.1:8428";

/** Runs the rest of a command line as the operator, and calls `onLine` with each line of it. */
export type Follow = (command: readonly string[], onLine: (line: string) => void) => Promise<number>;

export async function measureMonitoring(operate: Operate, follow: Follow): Promise<Measure[]> {
  return [
    ...(await measureSize()),
    ...(await measureGrowth()),
    await measureDelivery(),
    await measureDeadman(operate),
    ...(await measureBadReleases(operate, follow)),
  ];
}

function onServer(script: string): Promise<string> {
  return run(["docker", "exec", SERVER, "bash", "-euc", script]);
}

const verdict = (isMet: boolean, limit: string) => `${isMet ? "met" : "missed"}: ${limit}`;

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
  const limit = seconds + DELIVERY_SECONDS + DELIVERY_SECONDS;
  const scale = (count: number) =>
    onServer(`docker service scale --detach technicia-vector-store=${count} >/dev/null`);
  await scale(0);
  await until(async () => (await onServer(`docker ps --quiet --filter ${STORE}`)) === "", {
    limit: 60_000,
    late: () => new Error("the vector store: expected it to stop within a minute"),
  });
  const begun = Date.now();
  try {
    const measured = await measure("fault → delivered to everybody", {
      step: () => untilTold(begun, { id: "ServiceDown-vector-store", limit: 2 * limit }),
    });
    return { ...measured, target: verdict(measured.seconds <= limit, `at most ${limit} s`) };
  } finally {
    await scale(1);
  }
}

const STORE = "label=com.docker.swarm.service.name=technicia-vector-store";

async function untilTold(
  since: number,
  { id, limit }: { readonly id: string; readonly limit: number },
): Promise<void> {
  const late = () => new Error(`${id}: expected everybody to be told within ${limit} s`);
  await until(
    async () => {
      const told = (await readTold(since)).filter((one) => one.id === id && one.status === "firing");
      return EVERYBODY.every((receiver) => told.some((one) => one.receiver === receiver));
    },
    { limit: limit * 1000, every: 250, late },
  );
}

/** The sign of life goes to the pager's address, in the place of a service outside, and Alertmanager is stopped. */
async function measureDeadman(operate: Operate): Promise<Measure> {
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  const path = `/signe/${Date.now()}`;
  const scale = (count: number) =>
    onServer(`docker service scale --detach technicia-alerts=${count} >/dev/null`);
  await pulumi("config", "set", "--secret", "technicia:pingUrl", `https://passerelle.sms.example${path}`);
  await pulumi("config", "set", "--path", "technicia:monitoring.ping", "true");
  await pulumi("up", "--yes", "--skip-preview");
  const last = async () => {
    const signs = (await readCalls()).filter((call) => call.path === path);
    return Math.max(0, ...signs.map(({ time }) => Date.parse(time)));
  };
  await until(async () => (await last()) > 0, {
    limit: 180_000,
    late: () => new Error("the sign of life: expected one within three minutes"),
  });
  await scale(0);
  try {
    // Whoever is told of a silence of five minutes is told when it has lasted that long.
    const measured = await measure("dead man's switch: stopped → five minutes of silence", {
      step: () =>
        until(async () => Date.now() - (await last()) >= 300_000, {
          limit: 2 * DEADMAN_SECONDS * 1000,
          every: 1000,
          late: () => new Error("the sign of life: expected it to stop with Alertmanager"),
        }),
    });
    const isMet = measured.seconds <= DEADMAN_SECONDS;
    return { ...measured, target: verdict(isMet, `at most ${DEADMAN_SECONDS} s`) };
  } finally {
    await scale(1);
    await pulumi("config", "rm", "--path", "technicia:monitoring.ping");
    await pulumi("config", "rm", "technicia:pingUrl");
    await pulumi("up", "--yes", "--skip-preview");
  }
}

/** A release that answers 500, and one that takes ever more memory, once they are observed. */
async function measureBadReleases(operate: Operate, follow: Follow): Promise<Measure[]> {
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  const setTo = (path: string, value: string) =>
    pulumi("config", "set", "--path", `technicia:${path}`, value);
  await offerBadReleases();
  await setTo("monitoring.observation.seconds", String(OBSERVATION_SECONDS));
  const measures: Measure[] = [];
  for (const illness of ["errors", "leak"] as const) {
    await setTo("images.vectorStore", imageOf(illness));
    let ill: ReturnType<typeof makeIll> | undefined;
    let began = Infinity;
    const step = async () => {
      await follow(["npm", "run", "--silent", "deploy", "--", "test", "--yes"], (line) => {
        if (!OBSERVING.test(line)) return;
        began = Date.now();
        ill ??= makeIll();
      });
    };
    const measured = await measureUnderTraffic(`bad release, of ${illness}`, step);
    const seconds = (Date.now() - began) / 1000;
    await (await ill)?.stop();
    await setTo("images.vectorStore", "technicia/vector-store:1.0.0");
    const isMet = seconds <= RECOVERY_SECONDS;
    measures.push({
      ...measured,
      ...{ name: `ill → the release before, verified: ${illness}`, seconds },
      target: verdict(isMet, `at most ${RECOVERY_SECONDS} s`),
    });
  }
  await pulumi("config", "rm", "--path", "technicia:monitoring.observation");
  await docker(["exec", SERVER, "systemctl", "reset-failed"]);
  return measures;
}

/** Each kind of change while visitors ask, the longest that one of them waits, and what the gateway takes for those who wait. */
import { until } from "../../common/until.ts";
import { HOLD_SCRIPT } from "../../common/hold.ts";
import { rehearsedEntry } from "../question.ts";
import { domainOf } from "../stack-settings.ts";
import type { Operate } from "./floors.ts";
import { DELETE_COPIES, makeRepository, sourceWords } from "./many-workflows.ts";
import { type Measure, verdict } from "./measure.ts";
import { watchStops } from "./n8n-stops.ts";
import { onServer, tasksOf } from "./server.ts";
import {
  DELETE_UPLOADED,
  longestOf,
  measureUnderLoad,
  startLoad,
  type Visit,
  type Visitors,
  visitorsOf,
} from "./visitors.ts";

/** What a visitor may wait beyond the time in which n8n stops, in seconds. */
export const BEYOND_STOP_SECONDS = 8;

const HELD = 500;

/** What the gateway may take more for those who wait. */
const HELD_MIB = 16;

/** One address asks for all of them here. */
const VISITORS = "technicia:services.gateway.visitors";
export const ALLOWED = ["requestsPerSecond", "burst", "connections"].flatMap((name) => [
  "--plaintext",
  `${VISITORS}.${name}=2000`,
]);

export async function measureChanges(operate: Operate): Promise<Measure[]> {
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  const up = () => pulumi("up", "--yes", "--skip-preview");
  const visitors = await visitorsOf(await rehearsedEntry(`https://${domainOf("test")}`));
  await pulumi("config", "set-all", "--path", ...ALLOWED);
  await up();
  try {
    return [...(await measureEach(operate, visitors)), await measureHeld(visitors)];
  } finally {
    await onServer(DELETE_UPLOADED);
    await pulumi("config", "rm", "--path", VISITORS);
    await pulumi("config", "set", "--path", "technicia:images.vectorStore", "technicia/vector-store:1.0.0");
    await pulumi("config", "set", "--path", "technicia:services.n8n.memoryMib", "1280");
    await up();
  }
}

async function measureEach(operate: Operate, visitors: Visitors): Promise<Measure[]> {
  const npm = (script: string, ...args: string[]) =>
    operate(["npm", "run", "--silent", script, "--", "test", ...args]);
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  const set = (path: string, value: string) => pulumi("config", "set", "--path", `technicia:${path}`, value);
  const deploy = () => npm("deploy", "--yes");
  await using repository = await makeRepository(1);
  const commit = await repository.commit("bench");
  const kinds: Readonly<Record<string, () => Promise<unknown>>> = {
    image: async () => {
      await set("images.vectorStore", "technicia/vector-store:1.0.1");
      await deploy();
    },
    setting: async () => {
      await set("services.n8n.memoryMib", "1300");
      await deploy();
    },
    secret: () => npm("secrets", "rotate", "n8nJwtSecret", "--yes"),
    certificate: () => onServer("/opt/technicia/bin/certificate renew --force"),
    workflow: async () => {
      await pulumi(...sourceWords({ repository: repository.address, commit }));
      await deploy();
    },
  };
  const measures: Measure[] = [];
  try {
    for (const [kind, step] of Object.entries(kinds))
      measures.push(...(await measureChange(kind, { step, visitors })));
  } finally {
    await pulumi("config", "rm", "--path", "technicia:workflows.source");
    await onServer(DELETE_COPIES);
  }
  return measures;
}

async function measureChange(
  kind: string,
  { step, visitors }: { readonly step: () => Promise<unknown>; readonly visitors: Visitors },
): Promise<Measure[]> {
  const watched = await watchStops();
  let stops: readonly number[] = [];
  const { measured, visits } = await measureUnderLoad(`change of a kind: ${kind}`, step, () =>
    startLoad(visitors),
  ).finally(async () => {
    stops = await watched.stop();
  });
  for (const { at, failure } of visits)
    if (failure !== undefined) console.error(`${new Date(at).toISOString()} ${failure}`);
  return [
    { ...measured, target: verdict(measured.failed === 0, "no failed request") },
    judgeWait(kind, { stops, visits }),
  ];
}

/** Where n8n did not stop, nobody waited for it. */
export function judgeWait(
  kind: string,
  { stops, visits }: { readonly stops: readonly number[]; readonly visits: readonly Visit[] },
): Measure {
  const seconds = longestOf(visits);
  const limit = Math.max(0, ...stops) + BEYOND_STOP_SECONDS;
  const stopped =
    stops.length === 0 ? "n8n did not stop" : `${Math.max(...stops).toFixed(1)} s of n8n's stop`;
  return {
    ...{ name: `  longest request to n8n: ${kind}`, seconds },
    target: verdict(seconds <= limit, `at most ${BEYOND_STOP_SECONDS} s and ${stopped}`),
  };
}

/** KiB of nginx's processes, each page counted once. */
const GATEWAY_KIB = `
kib=0
for id in $(docker top "$(docker ps --quiet --filter status=running --filter ${tasksOf("gateway")} | head -n 1)" -eo pid | tail -n +2); do
  kib=$((kib + $(awk '/^Pss:/ { kib += $2 } END { print kib + 0 }' "/proc/$id/smaps_rollup")))
done
echo "$kib"`;

const gatewayMib = async () => Number(await onServer(GATEWAY_KIB)) / 1024;

/** The last word of its state: how many wait. */
const waitingNow = async () => Number((await onServer(`${HOLD_SCRIPT} state`)).trim().split(" ").at(-1));

/** Many who wait at once, while n8n goes on: it is the gateway that is measured. */
async function measureHeld({ question }: Visitors): Promise<Measure> {
  const before = await gatewayMib();
  const began = performance.now();
  await onServer(`${HOLD_SCRIPT} pause`);
  let held = NaN;
  const asked = Array.from({ length: HELD }, () => question());
  try {
    await until(async () => (await waitingNow()) >= HELD, {
      ...{ limit: 30_000, every: 250 },
      late: () => new Error(`the gateway: expected ${HELD} requests to wait within 30 s`),
    });
    held = await gatewayMib();
  } finally {
    await onServer(`${HOLD_SCRIPT} resume`);
  }
  const failures = (await Promise.all(asked)).filter((one) => one !== undefined);
  for (const failure of failures) console.error(failure);
  const more = held - before;
  const isMet = more <= HELD_MIB && failures.length === 0;
  return {
    name: `gateway with ${HELD} held requests: ${more.toFixed(1)} MiB more than without`,
    seconds: (performance.now() - began) / 1000,
    peakMib: Math.round(held),
    failed: failures.length,
    requests: `${failures.length} of ${HELD} failed`,
    target: verdict(isMet, `at most ${HELD_MIB} MiB more and no failed request`),
  };
}

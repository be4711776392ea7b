/** Services that are stopped, killed again and again, slow, or grow beyond their memory. */
import { imageOf, makeIll, offerBadReleases } from "../../rehearsal/bench/bad-releases.ts";
import { IMAGE } from "./deployments.ts";
import type { Fault } from "./faults.ts";
import { query } from "./monitored.ts";
import { onServer, set, up } from "./rehearsal.ts";

const container = (alias: string) =>
  `$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-${alias} --filter status=running | head -n 1)`;

/** Waits on the server until the service has a healthy container, or another one than `$before`. */
const HEALTHY = `healthy() {
  until [ -n "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-$1 --filter health=healthy)" ]; do sleep 0.5; done
}`;

const scaleTo = (alias: string, count: number) =>
  `docker service scale --detach technicia-${alias}=${count} >/dev/null`;

const GONE = `gone() {
  until [ -z "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-$1)" ]; do sleep 0.5; done
}`;

export const STOP = (alias: string): string => `${GONE}; ${scaleTo(alias, 0)}; gone ${alias}`;
export const START = (alias: string): string => `${HEALTHY}; ${scaleTo(alias, 1)}; healthy ${alias}`;

/** What requests show while the site does not answer, which the cause explains. */
export const REQUESTS: readonly string[] = [
  ...["ErrorRateCritical", "ErrorRateHigh", "ErrorRateElevated", "CriticalErrors", "ServiceErrors"],
  ...["RequestsRetried", "SlowRequestCritical", "SlowRequestHigh", "SlowRequestElevated"],
  ...["LatencyCritical", "LatencyHigh", "LatencyMedian", "LatencyTail"],
];

/** Of a service without which the site does not answer. */
const OF_CORE: readonly string[] = [
  ...["SiteDown", "HealthFailing", "TargetDown", "ServiceNotRunning", "CrashLoop"],
  ...REQUESTS,
];

/** Each of its own, because one that is down explains what the others would say. */
export const STOPPED: readonly (readonly Fault[])[] = [
  [
    {
      name: "the gateway is stopped",
      breaks: { service: "gateway", how: "stopped" },
      inject: STOP("gateway"),
      repair: START("gateway"),
      alerts: { SiteDown: "P1" },
      follows: ["HealthFailing", "ServiceNotRunning"],
      mayFollow: REQUESTS,
      restarts: ["gateway"],
    },
  ],
  [
    {
      name: "n8n is stopped",
      breaks: { service: "n8n", how: "stopped" },
      inject: STOP("n8n"),
      repair: START("n8n"),
      alerts: { "ServiceDown-n8n": "P1" },
      follows: ["HealthFailing", "SiteDown", "TargetDown"],
      mayFollow: OF_CORE,
      restarts: ["n8n"],
    },
  ],
  [
    {
      name: "the vector store is stopped",
      breaks: { service: "vector-store", how: "stopped" },
      inject: STOP("vector-store"),
      repair: START("vector-store"),
      alerts: { "ServiceDown-vector-store": "P1" },
      follows: ["HealthFailing", "SiteDown"],
      mayFollow: OF_CORE,
      restarts: ["vector-store"],
    },
  ],
  [
    {
      // The vector store says of itself that it is ill without it, and is replaced for that.
      name: "Qdrant is stopped",
      breaks: { service: "qdrant", how: "stopped" },
      inject: STOP("qdrant"),
      repair: `${START("qdrant")}; healthy vector-store`,
      alerts: { "ServiceDown-qdrant": "P1", "ServiceDown-vector-store": "P1" },
      mayFollow: OF_CORE,
      restarts: ["qdrant", "vector-store"],
    },
  ],
  [
    {
      name: "somebody scales the runners down",
      breaks: { service: "n8n-runners", how: "stopped" },
      inject: STOP("n8n-runners"),
      repair: START("n8n-runners"),
      alerts: { "ServiceNotRunning-n8n-runners": "P1" },
      restarts: ["n8n-runners"],
    },
  ],
  ...["document-processor", "vision-classifier"].map((alias) => [
    {
      name: `the ${alias} is stopped`,
      breaks: { service: alias, how: "stopped" },
      inject: STOP(alias),
      repair: START(alias),
      alerts: { [`ServiceDown-${alias}`]: "P1" },
      mayFollow: ["HealthFailing", "ServiceNotRunning", "TargetDown"],
      restarts: [alias],
    } as const,
  ]),
  [
    {
      name: "Docker finds no place for the runners",
      inject: `${STOP("n8n-runners")}; docker service update --detach --constraint-add 'node.labels.mallory == 1' --replicas 1 technicia-n8n-runners >/dev/null`,
      repair: `${HEALTHY}; docker service update --detach --constraint-rm 'node.labels.mallory == 1' technicia-n8n-runners >/dev/null; healthy n8n-runners`,
      alerts: { "ServiceNotRunning-n8n-runners": "P1" },
      restarts: ["n8n-runners"],
    },
  ],
];

/** Seconds over which starts are counted. */
const LOOP_SECONDS = 900;

/** When the service started, as the metrics' store has it. */
const MEASURED = `measured() {
  curl --silent http://127.0.0.1:8428/api/v1/query --data nocache=1 --data-urlencode "query=max(technicia_task_started_timestamp_seconds{service=\\"$1\\"})" | jq --raw-output '.data.result[0].value[1]'
}`;

/**
 * Three times, each time once it was well again: it is never away for long enough to be down. Of two starts between two measurements only one
 * is seen, which a loop that goes on does not need.
 */
function killed(alias: string, more: Pick<Fault, "alerts"> & Partial<Fault>): Fault {
  const once = `before=${container(alias)}; start=$(measured ${alias}); docker kill "$before" >/dev/null; until [ "${container(alias)}" != "$before" ] && [ -n "${container(alias)}" ]; do sleep 0.5; done; healthy ${alias}; until [ "$(measured ${alias})" != "$start" ]; do sleep 1; done`;
  return {
    name: `${alias} is killed again and again`,
    breaks: { service: alias, how: "killed" },
    inject: `${HEALTHY}; ${MEASURED}; for time in 1 2 3; do ${once}; done`,
    repair: `${HEALTHY}; healthy ${alias}`,
    endsSeconds: LOOP_SECONDS,
    restarts: [alias],
    ...more,
  };
}

// Users saw those requests fail, which a loop does not explain: other requests may fail at the same time.
const SEEN = ["ErrorRateCritical", "ErrorRateHigh", "RequestsRetried"];

/** All at once: what counts is a quarter of an hour. */
export const KILLED: readonly Fault[] = [
  killed("n8n-runners", { alerts: { "CrashLoop-n8n-runners": "P1" } }),
  killed("gateway", { alerts: { "CrashLoop-gateway": "P1" }, mayBeTold: SEEN }),
  // Before the vector store, which may be replaced for it.
  killed("qdrant", { alerts: { "CrashLoop-qdrant": "P1" }, mayBeTold: SEEN }),
  killed("vector-store", { alerts: { "CrashLoop-vector-store": "P1" }, mayBeTold: SEEN }),
  killed("n8n", { alerts: { "CrashLoop-n8n": "P1" }, mayBeTold: SEEN }),
  killed("document-processor", { alerts: { "CrashLoop-document-processor": "P1" } }),
  killed("vision-classifier", { alerts: { "CrashLoop-vision-classifier": "P1" } }),
  killed("probes", { alerts: { "MonitoringRestarts-probes": "P2" } }),
];

/** Share of its memory's limit that a service is brought to: critical from 80 % on. */
const NEARLY_ALL = 0.9;

const HELD_SECONDS = 3600;

/** Takes what is left of the service's memory up to that share, by a process of its own in the container. */
async function fill(alias: string): Promise<void> {
  const bytesOf = async (measure: "limit" | "working_set") => {
    const [found] = await query(`technicia_container_memory_${measure}_bytes{service="${alias}"}`);
    if (found === undefined) throw new Error(`memory of ${alias}: expected ${measure} to be measured`);
    return found.value;
  };
  const bytes = Math.round(NEARLY_ALL * (await bytesOf("limit")) - (await bytesOf("working_set")));
  await onServer(
    `docker exec --detach ${container(alias)} python3 -c 'import time; held = bytearray(b"x") * ${bytes}; time.sleep(${HELD_SECONDS})'`,
  );
}

export const MEMORY: Readonly<Record<"full" | "exceeded", Fault>> = {
  full: {
    name: "the vector store takes nearly all of its memory",
    inject: () => fill("vector-store"),
    repair: `docker exec ${container("vector-store")} python3 -c 'import os, signal
for one in filter(str.isdigit, os.listdir("/proc")):
    try: words = open(f"/proc/{one}/cmdline").read()
    except OSError: continue
    if "held = bytearray" in words and int(one) != os.getpid(): os.kill(int(one), signal.SIGKILL)'`,
    alerts: { "ServiceMemoryCritical-vector-store": "P1" },
  },
  exceeded: {
    name: "the vector store needs more memory than it may have",
    // Its swap included.
    inject: `! docker exec ${container("vector-store")} python3 -c 'held = bytearray(b"x") * (1536 << 20)'`,
    repair: `${HEALTHY}; healthy vector-store`,
    alerts: { "OutOfMemory-vector-store": "P1" },
    mayFollow: ["ServiceMemoryCritical", "CrashLoop", "ServiceNotRunning"],
    endsSeconds: 600,
  },
};

const SLOW_UNIT = "technicia-slow";

/** Stops a service's process for most of the time: it answers, after more than three seconds. */
export const slow = (alias: string) => ({
  inject: `process=$(docker inspect --format '{{.State.Pid}}' ${container(alias)})
systemd-run --quiet --unit ${SLOW_UNIT} bash -c "while :; do pkill -STOP --parent $process; sleep 3.6; pkill -CONT --parent $process; sleep 0.4; done"`,
  repair: `systemctl stop ${SLOW_UNIT}; pkill -CONT --parent $(docker inspect --format '{{.State.Pid}}' ${container(alias)})`,
});

let ill: Awaited<ReturnType<typeof makeIll>> | undefined;

/** A release of it that is well until it is told to be ill, deployed without the checks that would take it back. */
export const ILL: readonly Fault[] = [
  {
    name: "the vector store answers 500",
    breaks: { service: "vector-store", how: "answering 500" },
    inject: async () => {
      await offerBadReleases();
      await set(IMAGE, imageOf("errors"));
      await up();
      ill = await makeIll();
    },
    repair: async () => {
      await ill?.stop();
      await set(IMAGE, "technicia/vector-store:1.0.0");
      await up();
    },
    alerts: { "ServiceDown-vector-store": "P1" },
    follows: ["HealthFailing", "SiteDown"],
    mayFollow: OF_CORE,
    restarts: ["vector-store"],
  },
];

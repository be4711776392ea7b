/** The monitoring of the rehearsed servers, as its own programs tell of it there. */
import { z } from "zod";

import { tryRun } from "../../common/run.ts";
import { effectsAfter, type Span } from "../../components/monitoring/inhibitions.ts";
import { AFTERMATH, readAlerts, WATCHDOG, type SentAlert } from "../../ops/monitoring/alertmanager.ts";
import { openStores, type Stores } from "../../ops/monitoring/stores.ts";
import { readRules, type Rule } from "../../ops/monitoring/vmalert.ts";
import { neighbourOf } from "../../rehearsal/neighbour.ts";
import { SECOND_SERVER, SERVER } from "../../rehearsal/world.ts";
import { ensureStarted, until } from "./rehearsal.ts";

/** A deployed environment: its stack, and the container that is its server. */
export interface Environment {
  readonly stack: string;
  readonly container: string;
  readonly stores: Stores;
}

/** Without the operator's connection, so that a test can ask whatever happens to that. */
function environmentIn(container: string, stack: string): Environment {
  const ask = ["docker", "exec", "--interactive", container, "bash", "-euc"];
  const run = ({ script, stdin = "" }: { readonly script: string; readonly stdin?: string }) =>
    tryRun([...ask, script], { input: stdin });
  return { stack, container, stores: openStores({ name: stack, run }) };
}

export const FIRST = environmentIn(SERVER, "test");

/** Its neighbour, where the rehearsal was started with one. */
export const SECOND = environmentIn(SECOND_SERVER, neighbourOf("test"));

export const { stores } = FIRST;

/**
 * Rules about the server itself. The rehearsal's server shares memory, disk, clock and processors with everything else on this machine, and
 * so these tell about the machine; the faults of `faults-host.ts` are those in which their values are decided.
 */
export const MACHINE: readonly string[] = [
  ...["HostMemoryCritical", "HostMemoryHigh", "HostMemoryExhausted", "HostMemoryElevated"],
  ...["HostMemoryAboveTarget", "AvailableMemoryCritical", "AvailableMemoryLow"],
  ...["CpuHigh", "LoadCritical", "LoadHigh", "CollectorSlow", "RulesLate"],
  ...["DiskCritical", "DiskFreeLow", "DiskWarning", "DiskFullSoon", "InodesLow"],
  ...["ClockUnsynchronised", "ClockOffset"],
];

/** `ServiceDown` of `ServiceDown-n8n`. */
export const nameOf = (id: string): string => id.split("-")[0] ?? id;

export const isOfMachine = (id: string): boolean => MACHINE.includes(nameOf(id));

/** Starts the rehearsal unless it answers, and waits until its rules are evaluated and reach Alertmanager. */
export async function ensureMonitored(): Promise<void> {
  await ensureStarted();
  await untilMonitored();
}

/** Waits until an environment's rules are evaluated and reach its Alertmanager. */
export async function untilMonitored({ stack, stores }: Environment = FIRST): Promise<void> {
  await until(
    `the monitoring of ${stack} to say that it lives; technicia:monitoring.enabled has to be true`,
    async () => (await readAlerts(stores)).some(({ labels }) => labels["alertname"] === WATCHDOG),
    300,
  );
}

/** Faults that hold back others, also those that are over, and the names of the alerts that nobody would be told of now. */
export async function holdingBack({ stores }: Environment = FIRST): Promise<
  { readonly cause: string; readonly effects: readonly string[] }[]
> {
  const alerts = await readAlerts(stores);
  return alerts
    .filter(({ labels }) => labels["alertname"] === AFTERMATH)
    .map(({ labels: { cause = "", span } }) => ({ cause, effects: effectsAfter(cause, span as Span) }));
}

/** Active alerts that concern neither the sign of life nor the machine, silenced and inhibited ones included. */
export async function activeAlerts({ stores }: Environment = FIRST): Promise<readonly SentAlert[]> {
  const alerts = await readAlerts(stores);
  return alerts.filter(({ labels: { alertname = "", id = alertname } }) => {
    return alertname !== WATCHDOG && alertname !== AFTERMATH && !isOfMachine(id);
  });
}

export const idsOf = (alerts: readonly SentAlert[]): string[] =>
  alerts.map(({ labels: { alertname = "?", id = alertname, level = "" } }) => `${id}${level && ` ${level}`}`);

/** The rule of that name, as its evaluator has it. */
export async function ruleOf(name: string, { stack, stores }: Environment = FIRST): Promise<Rule> {
  const { rules, silent } = await readRules(stores);
  if (silent[0]) throw silent[0];
  const rule = rules.find((one) => one.isAlerting && one.name === name);
  if (rule === undefined) throw new Error(`expected a rule ${name} on the server of ${stack}, got none`);
  return rule;
}

const answer = z.object({
  data: z.object({
    result: z.array(
      z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
    ),
  }),
});

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Asks the metrics' store now. */
export async function query(expr: string, { stores }: Environment = FIRST): Promise<readonly Sample[]> {
  const call = { store: "metrics", path: "/api/v1/query", form: { query: expr, nocache: "1" } } as const;
  const { data } = await stores.read(call, answer);
  return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
}

/** Ids of the alerts that have fired since then, told or not; without the ladder and the sign of life. */
export async function firedSince(since: number, at: Environment = FIRST): Promise<string[]> {
  const seconds = Math.ceil((Date.now() - since) / 1000);
  const fired = 'ALERTS{alertstate="firing",alertname!~"Escalation|Watchdog|Aftermath"}';
  const found = await query(`max by (alertname, id) (max_over_time(${fired}[${seconds}s]))`, at);
  return [...new Set(found.map(({ labels: { alertname = "?", id = alertname } }) => id))];
}

/** When an alert first fired since then, in milliseconds since 1970; undefined where it has not. */
export async function firstFired(
  id: string,
  { since, at }: { readonly since: number; readonly at: Environment },
): Promise<number | undefined> {
  const seconds = Math.ceil((Date.now() - since) / 1000);
  const fired = `ALERTS{alertstate="firing",alertname!="Escalation",id=${JSON.stringify(id)}}`;
  const [found] = await query(`min(tfirst_over_time(${fired}[${seconds}s]))`, at);
  return found && found.value * 1000;
}

/** How often each service started anew in the time over which such starts are an alert. */
export async function restarts(at: Environment = FIRST): Promise<Readonly<Record<string, number>>> {
  const counted = await query(
    "max by (service) (changes_prometheus(technicia_task_started_timestamp_seconds[15m]))",
    at,
  );
  return Object.fromEntries(counted.map(({ labels, value }) => [labels["service"] ?? "?", value]));
}

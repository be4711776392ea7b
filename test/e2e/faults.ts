/**
 * Faults of a deployed environment, and how they are told: each row says what breaks, which alerts people get of it, and when. The rows are in
 * `faults-*.ts`, by what breaks; none of them changes a threshold.
 */
import { expect } from "vitest";

import { settleSeconds } from "../../components/monitoring/alertmanager.ts";
import { SYMPTOMS } from "../../components/monitoring/inhibitions.ts";
import type { Severity } from "../../components/monitoring/rules/rule.ts";
import { readTold, type Receiver, type Told } from "../../rehearsal/bench/told.ts";
import {
  activeAlerts,
  type Environment,
  FIRST,
  firedSince,
  firstFired,
  holdingBack,
  idsOf,
  isOfMachine,
  nameOf,
  restarts,
  ruleOf,
} from "./monitored.ts";
import { monitoringFacts } from "../components/monitoring/facts.ts";
import { onServer, until } from "./rehearsal.ts";

/** Bash, run on the server as root, or what is done elsewhere; it ends when the fault is there, or is over. */
export type Step = string | (() => Promise<unknown>);

/** What every service can suffer. */
export const HARMS = ["stopped", "killed", "slow", "answering 500"] as const;
export type Harm = (typeof HARMS)[number];

export interface Fault {
  readonly name: string;
  readonly inject: Step;
  readonly repair: Step;

  /** Whose server bash runs on. @default the first environment */
  readonly on?: Environment;

  /** Whose alerts these are. @default the first environment */
  readonly by?: Environment;

  /** Ids of the alerts that people are told of, with their severity. */
  readonly alerts: Readonly<Record<string, Severity>>;

  /** Names of alerts that fire as well, and that nobody is told of, because another one explains them. */
  readonly follows?: readonly string[];

  /** Ids of alerts of which nobody may be told → longest time from the fault until they fire, in seconds. */
  readonly noticed?: Readonly<Record<string, number>>;

  /** Names of alerts that may fire as well; nobody is told of them either. */
  readonly mayFollow?: readonly string[];

  /** Names of alerts that people may be told of as well: what users saw of the fault. */
  readonly mayBeTold?: readonly string[];

  /** Seconds that the rule itself needs to measure the fault, before its own `for` begins. @default one measurement */
  readonly windowSeconds?: number;

  /** Seconds after the repair that the rule still measures the fault. @default one measurement; Infinity: its end is not waited for */
  readonly endsSeconds?: number;

  /** What is done to a service: for the table of both in `test/fault-rows.test.ts`. */
  readonly breaks?: { readonly service: string; readonly how: Harm };

  /** Services that start anew, each as often as it does: with those of the quarter of an hour before it must not count as a loop. */
  readonly restarts?: readonly string[];

  /** Which fact is set instead of being caused, and why: what the rule reads takes days, or belongs to the machine. */
  readonly moves?: string;
}

/** Who is told of which level. */
const RECEIVERS: Readonly<Record<Severity, readonly Receiver[]>> = {
  P1: ["pager", "slack", "team"],
  P2: ["slack", "team"],
  P3: ["slack"],
  info: ["slack"],
};

/** Seconds for which a level's messages wait on purpose: before the first, and before another of the same group. */
const WAITS: Readonly<Record<Severity, readonly [first: number, next: number]>> = {
  P1: [5, 30],
  P2: [15, 60],
  P3: [30, 60],
  info: [5, 60],
};

const MEASUREMENT_SECONDS = 15;

/** First wait of a message about requests: the alert of a dead service, which would explain it, comes before. */
const SYMPTOM_SECONDS = settleSeconds({ ...monitoringFacts(), scrapeSeconds: MEASUREMENT_SECONDS });

/**
 * From a sample, or a line, to the evaluation that sees it, at most: the rules are evaluated as often as measured, of the moment one second
 * before (`-rule.evalDelay`), and the store shows a sample up to two seconds after it came.
 */
const EVALUATION_SECONDS = MEASUREMENT_SECONDS + 1 + 2;

/** Alertmanager, and the way to the receiver. */
const DELIVERY_SECONDS = 5;

/** A rule goes on firing for two rounds after its value is gone. */
const HOLD_SECONDS = 2 * MEASUREMENT_SECONDS;

/** How much longer is waited, so that a message that is late is seen with its time. */
const PATIENCE_SECONDS = 90;

/** For which Alertmanager repeats an end to whoever is told of another alert of that name; messages of ours do so for three minutes. */
const REPEATED_SECONDS = 16 * 60;

/** For which an alert may have fired before its end is told. */
const LONGEST_SECONDS = 3600;

const MESSAGE_REPEATS_SECONDS = 200;

/** More in a quarter of an hour is a loop. */
const MOST_STARTS = monitoringFacts().thresholds.restarts.count;

/** Longest wait for what came before: services that started anew are counted for a quarter of an hour. */
const QUIET_SECONDS = 20 * 60;

/** Of faults whose end nobody waits for. */
const lasting = new Set<string>();

export const perform = (step: Step, on: Environment = FIRST): Promise<unknown> =>
  typeof step === "string" ? onServer(`set -e; ${step}`, on.container) : step();

/** For `it.each`: what is broken at the same time, by name. */
export function named(...batches: readonly (readonly Fault[])[]): (readonly [string, readonly Fault[]])[] {
  return batches.map((batch) => [batch.map(({ name }) => name).join(", and "), batch]);
}

/**
 * Breaks all of these at the same time, and expects of each that exactly its alerts reach exactly their receivers within the rule's time, that
 * they end after the repair, and that nobody is told of anything else.
 */
export async function expectTold(faults: readonly Fault[]): Promise<void> {
  await untilQuiet(faults);
  const since = Date.now();
  const expected = await Promise.all(faults.flatMap(expectationsOf));
  const begun = new Map<Fault, number>();
  try {
    for (const fault of faults) {
      await perform(fault.inject, fault.on);
      begun.set(fault, Date.now());
    }
    await untilTold(expected, { since, begun });
    await untilFollowed(faults, since);
  } finally {
    for (const fault of [...faults].reverse()) await perform(fault.repair, fault.on);
  }
  const repaired = Date.now();
  await untilEnded(expected, { since, repaired });
  // What was explained by another alert may outlive it, and people would hear of it only now.
  await untilQuiet(faults, { mayBeBusy: true });
  const told = await readTold(since);
  report(expected, { told, begun, repaired });
  expectInTime(expected, { told, begun });
  expectReceivers(expected, told);
  await expectNoticed(faults, { since, begun });
  for (const environment of environmentsOf(faults))
    await expectNothingElse(faultsOf(environment, faults), { environment, told, since });
}

const byOf = ({ by = FIRST }: Fault): Environment => by;

const environmentsOf = (faults: readonly Fault[]): Environment[] => [...new Set(faults.map(byOf))];

const faultsOf = (environment: Environment, faults: readonly Fault[]): Fault[] =>
  faults.filter((fault) => byOf(fault) === environment);

interface Expected {
  readonly fault: Fault;
  readonly id: string;
  readonly severity: Severity;

  /** Longest time from the fault to its message, in seconds. */
  readonly limit: number;

  /** Longest time from the repair to the message of the end, in seconds. */
  readonly endLimit: number;
}

function expectationsOf(fault: Fault): Promise<Expected>[] {
  const { windowSeconds = MEASUREMENT_SECONDS, endsSeconds = MEASUREMENT_SECONDS } = fault;
  return Object.entries(fault.alerts).map(async ([id, severity]) => {
    const rule = await ruleOf(nameOf(id), fault.by);
    expect(rule.labels["severity"], `severity of ${rule.name}`).toBe(severity);
    const [usual, next] = WAITS[severity];
    const first = SYMPTOMS.includes(nameOf(id)) ? SYMPTOM_SECONDS : usual;
    const limit = windowSeconds + EVALUATION_SECONDS + rule.forSeconds + first + DELIVERY_SECONDS;
    return {
      ...{ fault, id, severity, limit },
      endLimit: endsSeconds + EVALUATION_SECONDS + HOLD_SECONDS + next + DELIVERY_SECONDS,
    };
  });
}

/** Nothing else is wrong, and no service is close to what would count as a loop, unless it `mayBeBusy`. */
async function untilQuiet(faults: readonly Fault[], { mayBeBusy = false } = {}): Promise<void> {
  let left = "";
  const late = () => `nothing else to be wrong; last there was ${left}`;
  const unquietOf = async (environment: Environment) => {
    const ids = idsOf(await activeAlerts(environment)).filter((id) => !lasting.has(id));
    const counted = await restarts(environment);
    const services = faultsOf(environment, faults).flatMap((fault) => fault.restarts ?? []);
    const startsOf = (service: string) => services.filter((one) => one === service).length;
    const isLoop = (service: string) => (counted[service] ?? 0) + startsOf(service) > MOST_STARTS;
    const busy = mayBeBusy ? [] : [...new Set(services)].filter(isLoop);
    const names = faultsOf(environment, faults)
      .flatMap(({ alerts }) => Object.keys(alerts))
      .map(nameOf);
    const held = (await holdingBack(environment)).filter(({ effects }) =>
      effects.some((name) => names.includes(name)),
    );
    const all = [
      ...ids,
      ...busy.map((service) => `a restart of ${service}`),
      ...held.map(({ cause }) => `the aftermath of ${cause}`),
    ];
    return all.map((one) => `${one} (${environment.stack})`);
  };
  const isQuiet = async () => {
    left = (await Promise.all(environmentsOf(faults).map(unquietOf))).flat().join(", ");
    return left === "";
  };
  await until("nothing else to be wrong", isQuiet, QUIET_SECONDS).catch((error: unknown) => {
    throw new Error(late(), { cause: error });
  });
}

interface Times {
  readonly told: readonly Told[];
  readonly begun: ReadonlyMap<Fault, number>;
}

type Which = Pick<Expected, "fault" | "id">;

const toldOf = (told: readonly Told[], { fault, id }: Which, status: Told["status"]) =>
  told.filter(
    (one) => one.id === id && one.stack === byOf(fault).stack && one.status === status && !isLevel(one),
  );

const firingOf = (told: readonly Told[], which: Which) => toldOf(told, which, "firing");

const resolvedOf = (told: readonly Told[], which: Which) => toldOf(told, which, "resolved");

/** The levels of the escalation are told of a P1 that lasts: tests of their own are about that. */
const isLevel = ({ receiver }: Told): boolean => /^N\d$/.test(receiver);

const missing = (expected: readonly Expected[], found: (which: Which) => readonly Told[]): string[] =>
  expected.flatMap((one) =>
    RECEIVERS[one.severity]
      .filter((receiver) => !found(one).some((message) => message.receiver === receiver))
      .map((receiver) => `${one.id} of ${byOf(one.fault).stack} to ${receiver}`),
  );

async function untilTold(
  expected: readonly Expected[],
  { since, begun }: { readonly since: number } & Pick<Times, "begun">,
): Promise<void> {
  const ends = expected.map(({ fault, limit }) => (begun.get(fault) ?? since) + limit * 1000);
  const seconds = (Math.max(...ends) - Date.now()) / 1000 + PATIENCE_SECONDS;
  await untilNone(seconds, async () => {
    const told = await readTold(since);
    return missing(expected, (which) => firingOf(told, which));
  });
}

async function untilEnded(
  expected: readonly Expected[],
  { since, repaired }: { readonly since: number; readonly repaired: number },
): Promise<void> {
  const ending = expected.filter(({ endLimit, id }) => {
    if (Number.isFinite(endLimit)) return true;
    lasting.add(id);
    return false;
  });
  const seconds = Math.max(0, ...ending.map(({ endLimit }) => endLimit));
  const left = seconds - (Date.now() - repaired) / 1000;
  await untilNone(left + PATIENCE_SECONDS, async () => {
    const told = await readTold(since);
    return missing(ending, (which) => resolvedOf(told, which)).map((line) => `the end of ${line}`);
  });
}

/** Consequences have to show: otherwise nobody would know that they are kept back. */
async function untilFollowed(faults: readonly Fault[], since: number): Promise<void> {
  for (const { by = FIRST, follows = [], noticed = {} } of faults) {
    if (follows.length === 0) continue;
    const waits = await Promise.all(follows.map(async (name) => (await ruleOf(name, by)).forSeconds));
    await untilNone(Math.max(...waits, ...Object.values(noticed)) + PATIENCE_SECONDS, async () => {
      const fired = (await firedSince(since, by)).map(nameOf);
      return follows.filter((name) => !fired.includes(name)).map((name) => `${name} of ${by.stack} to fire`);
    });
  }
}

async function untilNone(seconds: number, list: () => Promise<readonly string[]>): Promise<void> {
  let left: readonly string[] = [];
  const isDone = async () => {
    left = await list();
    return left.length === 0;
  };
  await until("what is expected", isDone, Math.max(seconds, 1)).catch((error: unknown) => {
    throw new Error(`waited in vain for ${left.join(", ")}`, { cause: error });
  });
}

const secondsTo = (told: readonly Told[], from: number): number =>
  (Math.max(...told.map(({ at }) => at)) - from) / 1000;

function report(
  expected: readonly Expected[],
  { told, begun, repaired }: Times & { readonly repaired: number },
): void {
  for (const { fault, id, limit } of expected) {
    const after = secondsTo(firingOf(told, { fault, id }), begun.get(fault) ?? 0).toFixed(1);
    const ended = resolvedOf(told, { fault, id });
    const end = ended.length === 0 ? "not waited for" : `${secondsTo(ended, repaired).toFixed(1)} s after it`;
    console.log(`${fault.name}: ${id} told after ${after} s of ${limit}; repaired, its end told ${end}`);
  }
}

function expectInTime(expected: readonly Expected[], { told, begun }: Times): void {
  const late = expected.flatMap(({ fault, id, limit }) => {
    const first = firstOfEach(firingOf(told, { fault, id }));
    return first
      .map(({ receiver, at }) => ({ receiver, seconds: (at - (begun.get(fault) ?? 0)) / 1000 }))
      .filter(({ seconds }) => seconds > limit)
      .map(({ receiver, seconds }) => `${id} to ${receiver} after ${seconds.toFixed(1)} s of ${limit}`);
  });
  expect(late).toEqual([]);
}

/** Of each receiver's messages the first. */
function firstOfEach(told: readonly Told[]): Told[] {
  return told.filter((one, at) => told.findIndex(({ receiver }) => receiver === one.receiver) === at);
}

/** Exactly those of the level, and each of them once: alerts of one name may come in two messages of one group. */
function expectReceivers(expected: readonly Expected[], told: readonly Told[]): void {
  const got = expected.map(({ fault, id }) => [
    id,
    firingOf(told, { fault, id })
      .map(({ receiver }) => receiver)
      .sort(),
  ]);
  const isAlone = (id: string) => expected.filter((other) => nameOf(other.id) === nameOf(id)).length === 1;
  const unique = got.map(([id, receivers]) => [
    id,
    isAlone(id as string) ? receivers : [...new Set(receivers)],
  ]);
  expect(unique).toEqual(expected.map(({ id, severity }) => [id, RECEIVERS[severity]]));
}

/** In time, also where another alert is what people hear. */
async function expectNoticed(
  faults: readonly Fault[],
  { since, begun }: { readonly since: number } & Pick<Times, "begun">,
): Promise<void> {
  for (const fault of faults) {
    for (const [id, limit] of Object.entries(fault.noticed ?? {})) {
      const fired = await firstFired(id, { since, at: byOf(fault) });
      const seconds = ((fired ?? Infinity) - (begun.get(fault) ?? since)) / 1000;
      console.log(`${fault.name}: ${id} fires after ${seconds.toFixed(1)} s of ${limit}`);
      expect(seconds, `seconds until ${id} fires`).toBeLessThanOrEqual(limit);
    }
  }
}

/** The end of what was told before the fault: it is still to come, or it was told and comes once more. */
function isOfBefore(
  { status, id, at, receiver }: Told,
  { before, since }: { readonly before: readonly Told[]; readonly since: number },
): boolean {
  if (status !== "resolved") return false;
  const last = before.findLast((one) => one.id === id && one.receiver === receiver && one.at < since);
  if (last?.status === "firing") return true;
  // The pager gets what Alertmanager has.
  const repeatedFor = receiver === "pager" ? REPEATED_SECONDS : MESSAGE_REPEATS_SECONDS;
  return last !== undefined && at - last.at < repeatedFor * 1000;
}

/** Of what one environment tells. */
async function expectNothingElse(
  faults: readonly Fault[],
  {
    environment,
    told,
    since,
  }: { readonly environment: Environment; readonly told: readonly Told[]; readonly since: number },
): Promise<void> {
  const ids = new Set([...faults.flatMap(({ alerts }) => Object.keys(alerts)), ...lasting]);
  const allowed = new Set(faults.flatMap(({ mayBeTold = [] }) => mayBeTold));
  const isExpected = (id: string) => ids.has(id) || isOfMachine(id) || allowed.has(nameOf(id));
  const before = await readTold(since - LONGEST_SECONDS * 1000);
  const others = told.filter(
    (one) =>
      one.stack === environment.stack &&
      !isLevel(one) &&
      !isExpected(one.id) &&
      !isOfBefore(one, { before, since }),
  );
  expect(others.map(({ receiver, status, id, title }) => `${receiver}: ${status} ${id} (${title})`)).toEqual(
    [],
  );
  const silent = new Set(
    faults.flatMap(({ follows = [], mayFollow = [] }) => [...follows, ...mayFollow] as string[]),
  );
  const fired = (await firedSince(since, environment)).filter(
    (id) => !isExpected(id) && !silent.has(nameOf(id)),
  );
  expect(fired, "alerts that fired without anybody being told").toEqual([]);
}

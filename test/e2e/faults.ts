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
  firedSince,
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

export interface Fault {
  readonly name: string;
  readonly inject: Step;
  readonly repair: Step;

  /** Ids of the alerts that people are told of, with their severity. */
  readonly alerts: Readonly<Record<string, Severity>>;

  /** Names of alerts that fire as well, and that nobody is told of, because another one explains them. */
  readonly follows?: readonly string[];

  /** Names of alerts that may fire as well; nobody is told of them either. */
  readonly mayFollow?: readonly string[];

  /** Names of alerts that people may be told of as well: what users saw of the fault. */
  readonly mayBeTold?: readonly string[];

  /** Seconds that the rule itself needs to measure the fault, before its own `for` begins. @default one measurement */
  readonly windowSeconds?: number;

  /** Seconds after the repair that the rule still measures the fault. @default one measurement; Infinity: its end is not waited for */
  readonly endsSeconds?: number;

  /** Services that start anew, which may not have done so more than once in the quarter of an hour before. */
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

/** After the rule's time: its next evaluation, Alertmanager, and the way to the receiver. */
const DELIVERY_SECONDS = 15;

/** A rule goes on firing for two rounds after its value is gone. */
const HOLD_SECONDS = 2 * MEASUREMENT_SECONDS;

/** How much longer is waited, so that a message that is late is seen with its time. */
const PATIENCE_SECONDS = 90;

/** Longest wait for what came before: services that started anew are counted for a quarter of an hour. */
const QUIET_SECONDS = 20 * 60;

/** Of faults whose end nobody waits for. */
const lasting = new Set<string>();

export const perform = (step: Step): Promise<unknown> =>
  typeof step === "string" ? onServer(`set -e; ${step}`) : step();

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
      await perform(fault.inject);
      begun.set(fault, Date.now());
    }
    await untilTold(expected, { since, begun });
    await untilFollowed(faults, since);
  } finally {
    for (const fault of [...faults].reverse()) await perform(fault.repair);
  }
  const repaired = Date.now();
  await untilEnded(expected, { since, repaired });
  // What was explained by another alert may outlive it, and people would hear of it only now.
  await untilQuiet([]);
  const told = await readTold(since);
  report(expected, { told, begun, repaired });
  expectInTime(expected, { told, begun });
  expectReceivers(expected, told);
  await expectNothingElse(faults, { told, since });
}

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
    const rule = await ruleOf(nameOf(id));
    expect(rule.labels["severity"], `severity of ${rule.name}`).toBe(severity);
    const [usual, next] = WAITS[severity];
    const first = SYMPTOMS.includes(nameOf(id)) ? SYMPTOM_SECONDS : usual;
    const limit = windowSeconds + rule.forSeconds + first + DELIVERY_SECONDS;
    return {
      ...{ fault, id, severity, limit },
      endLimit: endsSeconds + HOLD_SECONDS + next + 2 * DELIVERY_SECONDS,
    };
  });
}

/** Nothing else is wrong, and no service is close to what would count as a loop. */
async function untilQuiet(faults: readonly Fault[]): Promise<void> {
  let left = "";
  const late = () => `nothing else to be wrong; last there was ${left}`;
  const services = faults.flatMap((fault) => fault.restarts ?? []);
  const isQuiet = async () => {
    const ids = idsOf(await activeAlerts()).filter((id) => !lasting.has(id));
    const counted = await restarts();
    const busy = services.filter((service) => (counted[service] ?? 0) > 1);
    const names = faults.flatMap(({ alerts }) => Object.keys(alerts)).map(nameOf);
    const held = (await holdingBack()).filter(({ effects }) => effects.some((name) => names.includes(name)));
    left = [
      ...ids,
      ...busy.map((service) => `a restart of ${service}`),
      ...held.map(({ cause }) => `the aftermath of ${cause}`),
    ].join(", ");
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

const firingOf = (told: readonly Told[], id: string) =>
  told.filter((one) => one.id === id && one.status === "firing" && !isLevel(one));

const resolvedOf = (told: readonly Told[], id: string) =>
  told.filter((one) => one.id === id && one.status === "resolved" && !isLevel(one));

/** The levels of the escalation are told of a P1 that lasts: tests of their own are about that. */
const isLevel = ({ receiver }: Told): boolean => /^N\d$/.test(receiver);

const missing = (expected: readonly Expected[], found: (id: string) => readonly Told[]): string[] =>
  expected.flatMap(({ id, severity }) =>
    RECEIVERS[severity]
      .filter((receiver) => !found(id).some((one) => one.receiver === receiver))
      .map((receiver) => `${id} to ${receiver}`),
  );

async function untilTold(
  expected: readonly Expected[],
  { since, begun }: { readonly since: number } & Pick<Times, "begun">,
): Promise<void> {
  const ends = expected.map(({ fault, limit }) => (begun.get(fault) ?? since) + limit * 1000);
  const seconds = (Math.max(...ends) - Date.now()) / 1000 + PATIENCE_SECONDS;
  await untilNone(seconds, async () => {
    const told = await readTold(since);
    return missing(expected, (id) => firingOf(told, id));
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
    return missing(ending, (id) => resolvedOf(told, id)).map((line) => `the end of ${line}`);
  });
}

/** Consequences have to show: otherwise nobody would know that they are kept back. */
async function untilFollowed(faults: readonly Fault[], since: number): Promise<void> {
  const names = faults.flatMap(({ follows = [] }) => follows);
  if (names.length === 0) return;
  const waits = await Promise.all(names.map(async (name) => (await ruleOf(name)).forSeconds));
  await untilNone(Math.max(...waits) + PATIENCE_SECONDS, async () => {
    const fired = (await firedSince(since)).map(nameOf);
    return names.filter((name) => !fired.includes(name)).map((name) => `${name} to fire`);
  });
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
    const after = secondsTo(firingOf(told, id), begun.get(fault) ?? 0).toFixed(1);
    const ended = resolvedOf(told, id);
    const end = ended.length === 0 ? "not waited for" : `${secondsTo(ended, repaired).toFixed(1)} s after it`;
    console.log(`${fault.name}: ${id} told after ${after} s of ${limit}; repaired, its end told ${end}`);
  }
}

function expectInTime(expected: readonly Expected[], { told, begun }: Times): void {
  const late = expected.flatMap(({ fault, id, limit }) => {
    const first = firstOfEach(firingOf(told, id));
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
  const got = expected.map(({ id }) => [
    id,
    firingOf(told, id)
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

async function expectNothingElse(
  faults: readonly Fault[],
  { told, since }: { readonly told: readonly Told[]; readonly since: number },
): Promise<void> {
  const ids = new Set([...faults.flatMap(({ alerts }) => Object.keys(alerts)), ...lasting]);
  const allowed = new Set(faults.flatMap(({ mayBeTold = [] }) => mayBeTold));
  const isExpected = (id: string) => ids.has(id) || isOfMachine(id) || allowed.has(nameOf(id));
  const others = told.filter(({ id }) => !isExpected(id));
  expect(others.map(({ receiver, status, id, title }) => `${receiver}: ${status} ${id} (${title})`)).toEqual(
    [],
  );
  const silent = new Set(
    faults.flatMap(({ follows = [], mayFollow = [] }) => [...follows, ...mayFollow] as string[]),
  );
  const fired = (await firedSince(since)).filter((id) => !isExpected(id) && !silent.has(nameOf(id)));
  expect(fired, "alerts that fired without anybody being told").toEqual([]);
}

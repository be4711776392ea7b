/** A command that deploys is killed at each step of a hold: nobody waits longer than `maxSeconds` for it, and the next deployment goes through. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { HOLD_SCRIPT } from "../../common/hold.ts";
import { tasksOf } from "../../rehearsal/bench/server.ts";
import { startLoad, type Load, type Visit, visitorsOf } from "../../rehearsal/bench/visitors.ts";
import { rehearsedEntry } from "../../rehearsal/question.ts";
import { deploy, history, startDeploy } from "./deployments.ts";
import {
  DOMAIN,
  ensureStarted,
  expectQuiet,
  management,
  onServer,
  set,
  startAgain,
  until,
  up,
} from "./rehearsal.ts";

const HOLD = { maxSeconds: 30, drainSeconds: 10 };

/** Until an answer, once nothing is held any more; this machine may be busy. */
const ANSWER_SECONDS = 10;

/** One address: as many as wait for a whole hold are fewer than it may have open. */
const LOAD = { perSecond: 2, kinds: ["question"] } as const;

const ROW_MS = 20 * 60_000;
const REACHED_SECONDS = 600;

const entry = () => rehearsedEntry(`https://${DOMAIN}`);
const visit = async (): Promise<Load> => startLoad(await visitorsOf(await entry()), LOAD);

/** `paused 27.3 2 14`: whether it holds, for how long yet, how many n8n is answering, and how many wait. */
async function gateway(): Promise<{ readonly isPaused: boolean; readonly inFlight: number }> {
  const [state, , inFlight] = (await onServer(`${HOLD_SCRIPT} state`)).trim().split(" ");
  return { isPaused: state === "paused", inFlight: Number(inFlight) };
}

/** Id of n8n's container that runs; empty where none does. */
const n8n = async () =>
  (await onServer(`docker ps --quiet --filter status=running --filter ${tasksOf("n8n")}`)).trim();

interface Step {
  readonly name: string;

  /** What the command says when it has come there. */
  readonly line?: RegExp;

  /** What the server shows then; `before`: n8n's container of before. */
  readonly isReached?: (before: string) => Promise<boolean>;

  /** How long the model takes for an answer meanwhile. @default no time */
  readonly modelMs?: number;
}

const STEPS: readonly Step[] = [
  { name: "before it asks the gateway", line: /^n8n restarts: requests to n8n wait at the gateway/ },
  {
    name: "while it waits for the requests that n8n answers",
    isReached: async () => {
      const { isPaused, inFlight } = await gateway();
      return isPaused && inFlight > 0;
    },
    modelMs: 8000,
  },
  { name: "when the requests are held, and n8n still runs", line: /^the gateway holds the requests to n8n;/ },
  {
    name: "when n8n has stopped",
    isReached: async (before) => (await gateway()).isPaused && (await n8n()) !== before,
  },
  {
    name: "when the next n8n starts",
    isReached: async (before) => {
      const now = await n8n();
      return (await gateway()).isPaused && now !== "" && now !== before;
    },
  },
  { name: "when the requests go on", line: /^the requests to n8n go on/ },
];

/** Runs a deployment until it has come to the step, and kills it with everything that it started. */
async function killAt({ line: wanted, isReached, name }: Step): Promise<void> {
  const before = await n8n();
  let kill: (() => void) | undefined;
  let [isKilled, hasEnded] = [false, false];
  const killOnce = () => {
    if (isKilled || hasEnded) return;
    isKilled = true;
    kill?.();
  };
  const deployment = startDeploy((line, now) => {
    kill = now;
    if (wanted?.test(line) === true) killOnce();
  }).finally(() => {
    hasEnded = true;
  });
  if (isReached !== undefined)
    await until(
      name,
      async () => {
        if (kill !== undefined && !hasEnded && (await isReached(before))) killOnce();
        return isKilled || hasEnded;
      },
      REACHED_SECONDS,
    );
  await deployment;
  expect(isKilled, `the deployment ended before it came to: ${name}`).toBe(true);
}

/** Seconds until n8n answers a question. */
async function untilAnswered(): Promise<number> {
  const [began, { question }] = [performance.now(), await visitorsOf(await entry())];
  await until("a question to be answered", async () => (await question()) === undefined, 300);
  return (performance.now() - began) / 1000;
}

beforeAll(async () => {
  await ensureStarted();
  for (const [name, seconds] of Object.entries(HOLD))
    await set(`technicia:services.gateway.hold.${name}`, String(seconds));
  await up();
  await untilAnswered();
}, ROW_MS);
afterAll(async () => {
  await management("faults", "DELETE");
  // Rewrites the settings, which reverts what the tests changed.
  await startAgain();
}, ROW_MS);

describe("a deployment that is killed", () => {
  it.each(STEPS.map((step, at) => ({ ...step, memoryMib: 1300 + 10 * at })))(
    "$name, costs visitors at most the time of a hold, and the next one goes through",
    async ({ memoryMib, ...step }) => {
      await set("technicia:services.n8n.memoryMib", String(memoryMib));
      if (step.modelMs !== undefined)
        await management("faults", "POST", {
          ...{ api: "anthropic", method: "POST", path: "^/messages$", times: 0, delayMs: step.modelMs },
        });
      const load = await visit();
      let visits: readonly Visit[] = [];
      let seconds: number;
      try {
        await killAt(step).finally(() => management("faults", "DELETE"));
        seconds = await untilAnswered();
      } finally {
        // Otherwise they would come during the next step, too.
        visits = await load.stop();
      }

      expect(seconds).toBeLessThan(HOLD.maxSeconds + ANSWER_SECONDS);
      const longest = Math.max(...visits.map(({ milliseconds }) => milliseconds / 1000));
      console.log(
        `${step.name}: answered after ${seconds.toFixed(1)} s, the longest of ${visits.length} requests took ${longest.toFixed(1)} s`,
      );
      expect(longest).toBeLessThan(HOLD.maxSeconds + (step.modelMs ?? 0) / 1000 + ANSWER_SECONDS);
      // Who has waited for the whole time is told so.
      expect(visits.flatMap(({ failure }) => failure ?? []).filter((one) => !/got 503 /.test(one))).toEqual(
        [],
      );
      expect((await gateway()).isPaused).toBe(false);

      const next = await visit();
      const { code, stdout, stderr } = await deploy();
      const after = await next.stop();
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      expect(after.flatMap(({ failure }) => failure ?? [])).toEqual([]);
      expect((await history()).releases.filter(({ outcome }) => outcome === "running")).toEqual([]);
      expect(
        await onServer(
          "docker service inspect technicia-n8n --format '{{.Spec.TaskTemplate.Resources.Limits.MemoryBytes}}'",
        ),
      ).toBe(`${memoryMib * 1024 ** 2}\n`);
      await expectQuiet();
    },
    ROW_MS,
  );
});

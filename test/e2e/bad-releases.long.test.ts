/** A release that passes its verification and falls ill in use: taken back by itself, with the alert as the reason. */
import { setTimeout as wait } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type Illness,
  imageOf,
  makeIll,
  OBSERVING,
  offerBadReleases,
} from "../../rehearsal/bench/bad-releases.ts";
import { deploy, history, IMAGE, lastRelease, runningImage, start } from "./deployments.ts";
import { activeAlerts, ensureMonitored } from "./monitored.ts";
import { askHealth, set, startAgain, traffic, until } from "./rehearsal.ts";

const ROW_MS = 25 * 60_000;

/** As in the settings of prod. */
const OBSERVATION_SECONDS = 300;

/** Exit code: the release before runs again. */
const ROLLED_BACK = 4;

/** From the first failed response until the release before serves; of a failure that nobody can overlook less. */
const LONGEST_SECONDS = 300;
const HARD_SECONDS = 60;

interface Bad {
  readonly illness: Illness;
  readonly what: string;

  /** What the record gives as the reason. */
  readonly reason: RegExp;

  /** Longest time from the first failed response to the last, in seconds. */
  readonly limit: number;

  /** Seconds into the observation before which nothing is wrong yet. @default 0 */
  readonly earliest?: number;

  /** Whether visitors get failed responses at all. @default true */
  readonly fails?: false;
}

const FAILED_SHARE = /requêtes échouent depuis le début de l'observation|ErrorRateCritical|HealthFailing/;

const BAD: readonly Bad[] = [
  { illness: "errors", what: "answers 500 at once", reason: FAILED_SHARE, limit: HARD_SECONDS },
  {
    ...{ illness: "errors-later", what: "answers 500 after two minutes" },
    // Those that were answered well before hide it for a while.
    ...{ reason: FAILED_SHARE, limit: LONGEST_SECONDS, earliest: 120 },
  },
  { illness: "slow", what: "is slow", reason: /LatencyCritical/, limit: LONGEST_SECONDS, fails: false },
  {
    ...{ illness: "leak", what: "takes ever more memory", limit: LONGEST_SECONDS },
    reason: new RegExp(`OutOfMemory-vector-store|CrashLoop-vector-store|${FAILED_SHARE.source}`),
  },
  {
    ...{ illness: "crash", what: "ends again and again", limit: LONGEST_SECONDS },
    reason: new RegExp(`CrashLoop-vector-store|${FAILED_SHARE.source}`),
  },
];

/** Number of the release that all of them go back to. */
let good = 0;

beforeAll(async () => {
  await ensureMonitored();
  await offerBadReleases();
  await set("technicia:monitoring.observation.seconds", String(OBSERVATION_SECONDS));
  // Something to go back to.
  const { code, stdout, stderr } = await deploy();
  if (code !== 0) throw new Error(`npm run deploy ended with ${code}\n${stdout}\n${stderr}`);
  good = (await lastRelease()).number;
}, ROW_MS);
afterAll(startAgain);

/** A visitor who looks twice a second. */
const visit = async () => {
  try {
    await askHealth();
  } finally {
    await wait(500);
  }
};

/** Seconds from the first failed response to the last. */
function secondsOf(failures: readonly string[]): number {
  const times = failures.map((line) => Date.parse(line.split(" ")[0] ?? ""));
  return times.length === 0 ? 0 : (Math.max(...times) - Math.min(...times)) / 1000;
}

describe("a release that, once it was verified,", () => {
  it.each(BAD)(
    "$what is taken back, with the alert as the reason",
    async ({ illness, reason, limit, earliest = 0, fails = true }) => {
      await until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 1200);
      const before = await runningImage();
      await set(IMAGE, imageOf(illness));
      const visits = traffic(visit);
      let ill: ReturnType<typeof makeIll> | undefined;
      const lines: string[] = [];
      const code = await start("deploy", (line) => {
        lines.push(line);
        if (OBSERVING.test(line)) ill ??= makeIll();
      });
      await (await ill)?.stop();
      const { asked, failures } = await visits.stop();
      await set(IMAGE, "technicia/vector-store:1.0.0");

      expect(ill, lines.join("\n")).toBeDefined();
      expect(code, lines.join("\n")).toBe(ROLLED_BACK);
      expect(await runningImage()).toBe(before);
      const release = await lastRelease();
      expect(release).toMatchObject({ outcome: "rolled-back", restored: good });
      expect(release.failure).toMatch(reason);
      const audited = (await history()).events.filter(({ action }) => action === "rollback").at(-1);
      expect(audited?.detail).toMatch(reason);

      const seen = secondsOf(failures);
      const { recovery = -1, observation = 0 } = release.seconds;
      console.log(
        `${illness}: rolled back ${observation.toFixed(0)} s into the observation, for: ${release.failure ?? ""}\n` +
          `${failures.length} of ${asked} visits failed within ${seen.toFixed(1)} s; recorded ${recovery.toFixed(1)} s`,
      );
      const check = release.verify.find(({ id }) => id.endsWith("-observation"));
      expect(check?.measures?.["failedRequests"]).toBeGreaterThan(fails ? 0 : -1);
      expect(failures.length > 0 || !fails).toBe(true);
      expect(observation).toBeGreaterThan(earliest);
      expect(seen).toBeLessThanOrEqual(limit);
      expect(recovery).toBeGreaterThan(0);
      expect(recovery).toBeLessThanOrEqual(limit);
    },
    ROW_MS,
  );
});

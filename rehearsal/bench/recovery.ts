/** From a release that falls ill while it is observed to the one before it. */
import { docker } from "../docker.ts";
import { SERVER } from "../world.ts";
import { type Illness, ILLNESSES, imageOf, makeIll, OBSERVING, offerBadReleases } from "./bad-releases.ts";
import type { Operate } from "./floors.ts";
import { type Measure, verdict } from "./measure.ts";
import { untilCalm } from "./server.ts";
import { measureUnderTraffic, spanOf } from "./traffic.ts";

const RECOVERY_SECONDS = 300;

/** Of failing responses, where a release fails hard: nobody can overlook it. */
const FAILING_SECONDS = 60;

const HARD: readonly Illness[] = ["errors"];

const OBSERVATION_SECONDS = 300;

/** Exit code: the release before runs again. */
const ROLLED_BACK = 4;

/** Runs a command as the operator, and calls `onLine` with each line of it; the result is its exit code. */
export type Follow = (command: readonly string[], onLine: (line: string) => void) => Promise<number>;

/** A release of each kind, once it is observed. */
export async function measureBadReleases(operate: Operate, follow: Follow): Promise<Measure[]> {
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  const setTo = (path: string, value: string) =>
    pulumi("config", "set", "--path", `technicia:${path}`, value);
  await offerBadReleases();
  await setTo("monitoring.observation.seconds", String(OBSERVATION_SECONDS));
  const measures: Measure[] = [];
  for (const illness of Object.keys(ILLNESSES) as Illness[]) {
    await untilCalm();
    await setTo("images.vectorStore", imageOf(illness));
    measures.push(await measureOne(illness, follow));
    await setTo("images.vectorStore", "technicia/vector-store:1.0.0");
  }
  await pulumi("config", "rm", "--path", "technicia:monitoring.observation");
  await docker(["exec", SERVER, "systemctl", "reset-failed"]);
  return measures;
}

async function measureOne(illness: Illness, follow: Follow): Promise<Measure> {
  let ill: ReturnType<typeof makeIll> | undefined;
  let began = Infinity;
  let code: number | undefined;
  const measured = await measureUnderTraffic(`bad release, of ${illness}`, async () => {
    code = await follow(["npm", "run", "--silent", "deploy", "--", "test", "--yes"], (line) => {
      if (!OBSERVING.test(line) || ill !== undefined) return;
      began = Date.now();
      ill = makeIll();
    });
  });
  const ended = Date.now();
  await (await ill)?.stop();
  return { ...measured, ...judgeRecovery(illness, { ...measured, began, ended, code }) };
}

interface Recovery {
  /** When it was told to be ill, and when the release before it was there again and verified; in milliseconds since 1970. */
  readonly began: number;
  readonly ended: number;

  /** When each request that failed was made. */
  readonly failures: readonly number[];

  /** Exit code of the deployment. */
  readonly code: number | undefined;
}

/** Counted from the first response that failed; from the illness where none did. */
export function judgeRecovery(
  illness: Illness,
  { began, ended, failures, code }: Recovery,
): Pick<Measure, "name" | "seconds" | "target"> {
  const name = `ill → the release before, verified: ${illness}`;
  if (code !== ROLLED_BACK)
    return { name, seconds: NaN, target: `missed: expected a rollback, got exit code ${code ?? "none"}` };
  const seen = failures.filter((at) => at >= began);
  const seconds = (ended - Math.min(...seen, seen.length === 0 ? began : Infinity)) / 1000;
  const recovery = verdict(seconds <= RECOVERY_SECONDS, `at most ${RECOVERY_SECONDS} s`);
  if (!HARD.includes(illness)) return { name, seconds, target: recovery };
  const failing = spanOf(seen);
  const limit = `at most ${FAILING_SECONDS} s of failing responses`;
  return {
    ...{ name, seconds },
    target: `${recovery}; ${failing.toFixed(1)} s of failing responses, ${verdict(failing <= FAILING_SECONDS, limit)}`,
  };
}

/** After the verification: the release is observed, and taken back where an alert asks for that. */
import type { Check } from "../../common/check.ts";
import type { Outcome } from "../command.ts";
import type { Observed } from "../checks/observation.ts";
import { rollBackAutomatically } from "./automatic-rollback.ts";
import { EXIT, type Ended, type ReleaseInProgress } from "./release-progress.ts";
import { renderChecks } from "./render.ts";

/** Records the release; `verify` is what its verification found. */
export async function observeRelease(
  progress: ReleaseInProgress,
  verify: readonly Check[],
): Promise<Outcome> {
  const { session, operator, request } = progress;
  const { enabled, observation } = session.environment.monitoring;
  if (!enabled || observation.seconds === 0 || session.server === undefined)
    return await progress.recordSuccess(verify);
  operator.say(`observing the release for ${observation.seconds} s`);
  const since = progress.updateBegan ?? operator.now();
  const observed = await progress.timed("observation", () => operator.observe(session.context, since));
  try {
    // Who interrupts it keeps the release; who has lost the lock must change nothing any more.
    if (session.hasLostLock) session.signal.throwIfAborted();
    const { check } = observed;
    for (const line of renderChecks("observation", [check])) operator.say(line);
    const checks = [...verify, check];
    if (check.outcome === "ok") return await progress.recordSuccess(checks);
    if (!observed.hasFailed) return await leave(progress, { checks, check });
    return await rollBackAutomatically(progress, {
      report: `${request.stack}: an alert asks for the release before: ${check.detail}`,
      symptom: `alerte pendant l'observation : ${check.detail}`,
      verify: checks,
      ended: () => measure(observed, { verify, now: operator.now() }),
    });
  } finally {
    await observed.client.stop();
  }
}

/** It has neither passed nor failed. */
async function leave(
  progress: ReleaseInProgress,
  { checks, check }: { readonly checks: readonly Check[]; readonly check: Check },
): Promise<Outcome> {
  const { text, exitCode } = await progress.recordSuccess(checks);
  const why = progress.session.signal.aborted
    ? "the release was verified but not observed to its end, because that was interrupted; it stays"
    : "the release was verified, but whether it works in use cannot be judged; it stays";
  const lines = [text, `${why}: ${check.detail}`, `look with npm run alerts -- ${progress.request.stack}`];
  return { text: lines.join("\n"), exitCode: exitCode === EXIT.ok ? EXIT.notObserved : exitCode };
}

/** What visitors have seen: known only once the release before serves again, at `now`. */
async function measure(
  observed: Observed,
  { verify, now }: { readonly verify: readonly Check[]; readonly now: Date },
): Promise<Ended> {
  const { check, client } = observed;
  await client.stop();
  const { requests, failed } = client.counted;
  const recovery = recoverySeconds(observed, now);
  const measures = { ...check.measures, requests, failedRequests: failed };
  return {
    seconds: recovery === undefined ? {} : { recovery },
    verify: [...verify, { ...check, measures }],
  };
}

/** From the first failed request to the last; of a release that answers but slowly, from the alert to now. */
function recoverySeconds({ check, client, faultSince }: Observed, now: Date): number | undefined {
  const { firstFailure, lastFailure } = client.counted;
  const seconds = (from: number, until: number) => Math.round(until - from) / 1000;
  // A few failures say little about how long it was slow.
  const isSlow = check.id.startsWith("performance-") && faultSince !== undefined;
  if (!isSlow && firstFailure !== undefined && lastFailure !== undefined)
    return seconds(firstFailure, lastFailure);
  return faultSince === undefined
    ? undefined
    : seconds(Math.min(faultSince, firstFailure ?? faultSince), now.getTime());
}

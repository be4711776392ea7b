/** After a failed release the last good one is restored and verified. */
import { lastGood, type Release } from "../../common/release.ts";
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/outputs.ts";
import { readReleases } from "../server/records.ts";
import { EXIT, type Failure, type ReleaseInProgress } from "./release-progress.ts";
import { renderChecks, renderLate, renderSeconds } from "./render.ts";
import {
  dataWarnings,
  differs,
  passedVerification,
  restore,
  restoredSeconds,
  runningSettings,
  timeCheck,
} from "./restore.ts";

interface FailedRelease extends Failure {
  /** Whether the engine no longer knows the actual state, after an update that failed half way. */
  readonly refresh: boolean;
}

export async function rollBackAutomatically(
  progress: ReleaseInProgress,
  failure: FailedRelease,
): Promise<Outcome> {
  const { operator, session } = progress;
  const found = await findTarget(progress);
  if (typeof found === "string")
    return await progress.recordFailure({ ...failure, report: `${failure.report}\n${found}` });

  const { target, release, images } = found;
  operator.say(`${failure.report}\nrolling back to release ${target.number}`);
  for (const line of dataWarnings(target.images, images)) operator.say(line);
  const restored = await restore(progress, {
    target,
    message: `release ${release.number} failed: back to ${target.number}`,
    refresh: failure.refresh,
  });
  Object.assign(progress.seconds, restored.seconds);
  const { rollbackSeconds } = session.environment.operations.thresholds;
  const restoredVerify = [...restored.verify, timeCheck(restored, rollbackSeconds)];
  for (const line of renderChecks("verify after the rollback", restoredVerify)) operator.say(line);
  const more = { restored: target.number, restoredVerify };
  if (!passedVerification(restored)) {
    const why = restored.failure ?? "its verification failed too";
    const report = `${failure.report}\nrolled back to release ${target.number}, but that failed: ${why}`;
    const symptom = `${failure.symptom} ; le retour à la version ${target.number} a échoué aussi`;
    return await progress.recordFailure({ ...failure, report, symptom }, more);
  }

  const { report, symptom, verify } = failure;
  await progress.recordEnd({
    outcome: "rolled-back",
    images,
    verify: [...verify],
    failure: symptom,
    ...more,
  });
  const seconds = restoredSeconds(restored);
  await session.audit({
    action: "rollback",
    reason: progress.reason,
    detail: `version ${release.number} en échec (${symptom}), version ${target.number} remise en service en ${seconds.toFixed(0)} s`,
    release: release.number,
  });
  const text = [
    report,
    `release ${target.number} runs again`,
    ...renderLate(seconds, rollbackSeconds),
    `Pulumi.${session.stack}.yaml still has what failed: change it, or the next deployment deploys it again`,
    renderSeconds(progress.seconds),
  ];
  return { text: text.join("\n"), exitCode: EXIT.rolledBack };
}

interface Target {
  readonly target: Release;
  readonly release: Release;
  /** Of the release that failed. */
  readonly images: Readonly<Record<string, string>>;
}

/** The release to return to, or why there is none. */
async function findTarget({ session, record, revision }: ReleaseInProgress): Promise<Target | string> {
  if (session.server === undefined || record === undefined)
    return "it was the first deployment, so there is no release to roll back to";
  const { releases } = await readReleases(session.server);
  const target = lastGood(releases, record.number);
  if (target === undefined)
    return "no earlier release has passed its verification, so there is none to roll back to";
  const images = await readDeployedImages(session.stack, session.pulumi);
  if (differs(target, { images, settings: runningSettings(session.environment) }))
    return { target, release: record, images };
  return (
    `release ${target.number} had the same images and settings, so a rollback would change nothing; ` +
    `what differs is the program (${target.revision} → ${revision}) or something outside of it`
  );
}

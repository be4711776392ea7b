/** Rollbacks: by hand with `npm run rollback`, and automatic ones after a failed release. */
import { currentRelease, isGood, lastGood, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/state.ts";
import { readRevision } from "../server/identity.ts";
import { readReleases, type Releases, renderCorrupt } from "../server/records.ts";
import { EXIT, type Failure, type ReleaseInProgress } from "./release-progress.ts";
import {
  describeStop,
  renderChecks,
  renderImageChanges,
  renderLate,
  renderRelease,
  renderSeconds,
} from "./render.ts";
import { dataWarnings, differs, restore, runningSettings, type Restored } from "./restore.ts";
import { Session, type Operator } from "./session.ts";

export interface RollbackRequest {
  readonly stack: string;
  /** Undefined: the last good one before what runs. */
  readonly to: number | undefined;
  readonly reason: string;
  readonly yes: boolean;
}

export async function rollback(request: RollbackRequest, operator: Operator): Promise<Outcome> {
  const { stack, reason } = request;
  const startedAt = operator.now().toISOString();
  const { revision } = await readRevision(operator.git);
  return await Session.during({ stack, why: `rollback: ${reason}`, operator }, async (session) => {
    const { server } = session;
    if (server === undefined)
      throw new UserError(`${stack}: there is no server, so there is no release to roll back to`);
    const target = chooseTarget(request, await readReleases(server));
    await operator.resume(stack);
    const images = await readDeployedImages(stack, session.pulumi);
    operator.say(`back to ${renderRelease(target)}`);
    for (const line of dataWarnings(target.images, images)) operator.say(line);
    if (!request.yes && !(await operator.confirm(`Restore release ${target.number} on ${stack}?`)))
      return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };

    const begun = await session.startRelease(server, {
      ...{ kind: "rollback", revision, reason, startedAt },
      settings: { ...runningSettings(session.environment), ...target.settings },
      restored: target.number,
    });
    const restored = await restore(session, {
      target,
      message: `release ${begun.number}: back to ${target.number}`,
      // The state may be wrong, which may be why somebody rolls back by hand.
      refresh: true,
    });
    for (const line of renderChecks("verify", [...restored.verify, restored.time])) operator.say(line);
    const changes = renderImageChanges(images, restored.images);
    return await recordRollback(session, { begun, target, restored, changes });
  });
}

interface RolledBack {
  readonly begun: Release;
  readonly target: Release;
  readonly restored: Restored;
  readonly changes: string;
}

async function recordRollback(
  session: Session,
  { begun, target, restored, changes }: RolledBack,
): Promise<Outcome> {
  const { hasPassed, verify, time, totalSeconds, images, seconds } = restored;
  const { signal } = session;
  const stop = signal.aborted ? `${describeStop(signal.reason)} ; ` : "";
  const failure = `${stop}${restored.failure ?? "la vérification est en échec"}`;
  await session.finishRelease({
    ...begun,
    images,
    verify: [...verify],
    restoredVerify: [time],
    outcome: hasPassed ? "succeeded" : "failed",
    ...(hasPassed ? {} : { failure }),
    seconds,
  });
  await session.audit({
    action: "rollback",
    reason: begun.reason,
    detail: hasPassed
      ? `version ${target.number} remise en service en ${totalSeconds.toFixed(0)} s : ${changes}`
      : `retour à la version ${target.number} en échec : ${failure}`,
    release: begun.number,
  });
  const { stack, environment } = session;
  const text = [
    hasPassed
      ? `release ${target.number} runs again, as release ${begun.number}`
      : `${stack}: the rollback to release ${target.number} failed: ${restored.failure ?? "its verification failed"}`,
    ...renderLate(totalSeconds, environment.operations.thresholds.rollbackSeconds),
    `Pulumi.${stack}.yaml still has what ran before: change it, or the next deployment deploys it again`,
    renderSeconds(seconds),
  ];
  return { text: text.join("\n"), exitCode: hasPassed ? EXIT.ok : EXIT.failed };
}

function chooseTarget({ stack, to }: RollbackRequest, { releases, corrupt }: Releases): Release {
  const notes = renderCorrupt(corrupt).map((line) => `\n  ${line}`);
  if (to === undefined) {
    const current = currentRelease(releases);
    // After a rollback by hand an earlier release runs: "before" means before that one.
    const target = lastGood(releases, current?.restored ?? current?.number ?? Infinity);
    if (target) return target;
    throw new UserError(
      `${stack}: no earlier release has passed its verification; see npm run history -- ${stack}${notes.join("")}`,
    );
  }
  const target = releases.find(({ number }) => number === to);
  const known = releases.filter(isGood).map(({ number }) => number);
  const choice = known.length === 0 ? "there is none" : `there are ${known.join(", ")}`;
  if (target === undefined)
    throw new UserError(`--to: expected the number of a release, got ${to}; ${choice}${notes.join("")}`);
  if (!isGood(target))
    throw new UserError(
      `--to: expected a release that passed its verification, got ${to}, which ${target.outcome === "succeeded" ? "was not verified" : `is ${target.outcome}`}; ${choice}`,
    );
  return target;
}

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
  const restored = await restore(session, {
    target,
    message: `release ${release.number} failed: back to ${target.number}`,
    refresh: failure.refresh,
  });
  Object.assign(progress.seconds, restored.seconds);
  const { rollbackSeconds } = session.environment.operations.thresholds;
  const restoredVerify = [...restored.verify, restored.time];
  for (const line of renderChecks("verify after the rollback", restoredVerify)) operator.say(line);
  const more = { restored: target.number, restoredVerify };
  if (!restored.hasPassed) {
    const why = restored.failure ?? "its verification failed too";
    const report = `${failure.report}\nrolled back to release ${target.number}, but that failed: ${why}`;
    const { signal } = session;
    const how = signal.aborted ? describeStop(signal.reason) : "a échoué aussi";
    const symptom = `${failure.symptom} ; le retour à la version ${target.number} : ${how}`;
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
  await session.audit({
    action: "rollback",
    reason: progress.request.reason,
    detail: `version ${release.number} en échec (${symptom}), version ${target.number} remise en service en ${restored.totalSeconds.toFixed(0)} s`,
    release: release.number,
  });
  const text = [
    report,
    `release ${target.number} runs again`,
    ...renderLate(restored.totalSeconds, rollbackSeconds),
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
async function findTarget({ session, record, request }: ReleaseInProgress): Promise<Target | string> {
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
    `what differs is the program (${target.revision} → ${request.revision}) or something outside of it`
  );
}

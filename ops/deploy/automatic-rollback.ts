/** After a failed release: the release before it again, unless data may have changed its format. */
import { lastGood, type Release } from "../../common/release.ts";
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/state.ts";
import { readReleases } from "../server/records.ts";
import { dataStays, dataSteps, renderDataSteps, stepsBegun, type DataStep } from "./data.ts";
import { EXIT, type Failure, type ReleaseInProgress } from "./release-progress.ts";
import { describeStop, renderChecks, renderLate, renderSeconds } from "./render.ts";
import { differs, keptSettings, restore, runningSettings, sayKept, type Restored } from "./restore.ts";

export async function rollBackAutomatically(progress: ReleaseInProgress, failure: Failure): Promise<Outcome> {
  const { operator, session } = progress;
  const found = await findTarget(progress);
  if (typeof found === "string")
    return await progress.recordFailure({ ...failure, report: `${failure.report}\n${found}` });
  const steps = migratedSteps(progress, { ...found, failure });
  if (steps.length > 0 && !(await agreesToOldData(progress, { ...found, failure, steps })))
    return await leave(progress, { ...found, failure, steps });

  const { target, release } = found;
  operator.say(`${failure.report}\nrolling back to release ${target.number}`);
  sayKept(session, target);
  const restored = await restore(session, {
    target,
    message: `release ${release.number} failed: back to ${target.number}`,
    // After an update that failed half way, the engine no longer knows the actual state.
    refresh: failure.changed !== undefined,
  });
  Object.assign(progress.seconds, restored.seconds);
  for (const line of renderChecks("verify after the rollback", [...restored.verify, restored.time]))
    operator.say(line);
  return await recordAutomatic(progress, { ...found, failure, restored });
}

interface Target {
  readonly target: Release;
  readonly release: Release;
  /** Of the release that failed. */
  readonly images: Readonly<Record<string, string>>;
}

interface Undone extends Target {
  readonly failure: Failure;
}

async function recordAutomatic(
  progress: ReleaseInProgress,
  { target, release, images, failure, restored }: Undone & { readonly restored: Restored },
): Promise<Outcome> {
  const { session } = progress;
  const { report, symptom, verify } = failure;
  const more = { restored: target.number, restoredVerify: [...restored.verify, restored.time] };
  if (!restored.hasPassed) {
    const why = restored.failure ?? "its verification failed too";
    const { signal } = session;
    const how = signal.aborted ? describeStop(signal.reason) : "a échoué aussi";
    const failed = {
      report: `${report}\nrolled back to release ${target.number}, but that failed: ${why}`,
      symptom: `${symptom} ; le retour à la version ${target.number} : ${how}`,
    };
    return await progress.recordFailure({ ...failure, ...failed }, more);
  }
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
    ...renderLate(restored.totalSeconds, session.environment.operations.thresholds.rollbackSeconds),
    `Pulumi.${session.stack}.yaml still has what failed: change it, or the next deployment deploys it again`,
    renderSeconds(progress.seconds),
  ];
  return { text: text.join("\n"), exitCode: EXIT.rolledBack };
}

/** The programs whose data may be of another version than the one that a rollback would start. */
function migratedSteps(
  { imagesBefore }: ReleaseInProgress,
  { target, images, failure: { changed } }: Undone,
): DataStep[] {
  const steps = dataSteps(target.images, images);
  if (changed === undefined) return steps;
  // Where this very update was to make the step and had not come to the program, its data is as it was.
  const begun = stepsBegun(steps, changed).map(({ service }) => service);
  const before = dataSteps(target.images, imagesBefore).map(({ service }) => service);
  return steps.filter(({ service }) => begun.includes(service) || before.includes(service));
}

interface Left extends Undone {
  readonly steps: readonly DataStep[];
}

/** Speed and security are no reason to start an older version on newer data; nor is anything without a person who agrees. */
async function agreesToOldData(
  { request, operator }: ReleaseInProgress,
  { target, failure, steps }: Left,
): Promise<boolean> {
  const failed = failure.verify.filter(({ outcome }) => outcome === "failed");
  const works = failed.length > 0 && failed.every(({ id }) => /^(performance|security)-/.test(id));
  if (works || request.yes) return false;
  operator.say(failure.report);
  for (const line of dataStays(reversed(steps))) operator.say(line);
  return await operator.confirm(`Roll back to release ${target.number} all the same?`);
}

/** The release that failed stays, because the one before may not be able to read its data. */
async function leave(
  progress: ReleaseInProgress,
  { target, release, failure, steps }: Left,
): Promise<Outcome> {
  const { stack } = progress.session;
  const list = renderDataSteps(steps);
  const back = `npm run rollback -- ${stack} --to ${target.number} --data-stays --reason "…"`;
  const set = progress.setBefore?.slice(0, 8);
  const lines = [
    failure.report,
    `release ${release.number} was not rolled back: ${list} may have changed the format of its data, ${set === undefined ? "of which there is no copy" : `which the set ${set} has as it was before`}`,
    set === undefined
      ? `correct Pulumi.${stack}.yaml and deploy again; or, if you know that the older version reads this data, ${back}`
      : `correct Pulumi.${stack}.yaml and deploy again; or go back with its data: ${back}, then npm run restore -- ${stack} --set ${set}`,
  ];
  const symptom = `${failure.symptom} ; pas de retour à la version ${target.number} : ${list} a pu changer le format de ses données`;
  return await progress.recordFailure({ ...failure, report: lines.join("\n"), symptom });
}

function reversed(steps: readonly DataStep[]): DataStep[] {
  return steps.map(({ service, from, to }) => ({ service, from: to, to: from }));
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
  const settings = runningSettings(session.environment);
  if (differs(target, { images, settings })) return { target, release: record, images };
  return [
    `release ${target.number} had the same images, limits and timeouts, so a rollback would change nothing; ` +
      `what differs is the program (${target.revision} → ${request.revision}), other settings, or something outside of it`,
    ...keptSettings(target.settings, settings),
  ].join("\n");
}

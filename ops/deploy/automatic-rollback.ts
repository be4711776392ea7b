/**
 * After a failed release: the release before it again. Where data may have changed its format, the data of before comes back with it, or the
 * release that failed stays and the way back is printed: never an older version alone on newer data.
 */
import { UserError } from "../../common/user-error.ts";
import { lastGood, type Release } from "../../common/release.ts";
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/state.ts";
import { readReleases } from "../server/records.ts";
import {
  changesDatabase,
  databaseSteps,
  dataSteps,
  renderDataSteps,
  stepsBegun,
  type DataStep,
} from "./data.ts";
import {
  planDataRollback,
  renderDataRollback,
  restoreData,
  rollbackCommand,
  type DataRollback,
} from "./data-rollback.ts";
import { EXIT, type Failure, type ReleaseInProgress } from "./release-progress.ts";
import { describeStop, renderChecks, renderLate, renderSeconds } from "./render.ts";
import { differs, keptSettings, restore, runningSettings, sayKept, type Restored } from "./restore.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";
import { planWorkflows, type WorkflowsBack } from "./workflows.ts";

export async function rollBackAutomatically(progress: ReleaseInProgress, failure: Failure): Promise<Outcome> {
  const { operator, session } = progress;
  const found = await findTarget(progress);
  if (typeof found === "string")
    return await progress.recordFailure({ ...failure, report: `${failure.report}\n${found}` });
  const steps = migratedSteps(progress, { ...found, failure });
  const data = steps.length === 0 ? undefined : await findData(progress, { ...found, failure, steps });
  if (typeof data === "string") return await leave(progress, { ...found, failure, steps, why: data });

  const { target, release } = found;
  const set = data?.plan.id;
  operator.say(`${failure.report}\nrolling back to release ${target.number}`);
  sayKept(session, found);
  const stopped = data && (await bringDataBack(progress, { ...found, failure, data }));
  if (stopped) return stopped;
  const restored = await restore(session, {
    ...{ target, workflows: found.workflows },
    message: `release ${release.number} failed: back to ${target.number}`,
    // After an update that failed half way, and once services went back with their data, the engine does not know the actual state.
    refresh: failure.changed !== undefined || data !== undefined,
  });
  const ended = await failure.ended?.();
  Object.assign(progress.seconds, restored.seconds, ended?.seconds);
  for (const line of renderChecks("verify after the rollback", [...restored.verify, restored.time]))
    operator.say(line);
  const whole = { ...failure, verify: ended?.verify ?? failure.verify };
  return await recordAutomatic(progress, { ...found, failure: whole, restored, set });
}

interface Target {
  readonly target: Release;
  readonly release: Release;
  /** Of the release that failed. */
  readonly images: Readonly<Record<string, string>>;
  readonly workflows: WorkflowsBack;
}

interface Undone extends Target {
  readonly failure: Failure;
}

async function recordAutomatic(
  progress: ReleaseInProgress,
  {
    target,
    release,
    images,
    failure,
    restored,
    set,
  }: Undone & { readonly restored: Restored; readonly set: string | undefined },
): Promise<Outcome> {
  const { session } = progress;
  const { report, symptom, verify } = failure;
  const more = {
    ...{ restored: target.number, restoredVerify: [...restored.verify, restored.time] },
    ...(set !== undefined && { set }),
  };
  if (!restored.hasPassed) {
    const why = restored.failure ?? "its verification failed too";
    const { signal } = session;
    const how = signal.aborted ? describeStop(signal.reason) : "a échoué aussi";
    const failed = {
      report: [
        report,
        `rolled back to release ${target.number}, but that failed: ${why}`,
        ...(set === undefined ? [] : [`go on with ${rollbackCommand(session.stack)}`]),
      ].join("\n"),
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
    detail: `version ${release.number} en échec (${symptom}), version ${target.number} remise en service${set === undefined ? "" : ` avec les données du jeu ${set.slice(0, 8)}`} en ${restored.totalSeconds.toFixed(0)} s`,
    release: release.number,
  });
  const text = [
    report,
    `release ${target.number} runs again${set === undefined ? "" : `, with the data of set ${set.slice(0, 8)}`}`,
    ...renderLate(restored.totalSeconds, releaseLimits(session.environment).rollbackSeconds),
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
  const steps = [...dataSteps(target.images, images), ...databaseSteps(target.images, images)];
  if (changed === undefined) return steps;
  // Where this very update was to make the step and had not come to the program, its data is as it was.
  const begun = stepsBegun(steps, changed).map(({ service }) => service);
  const before = dataSteps(target.images, imagesBefore).map(({ service }) => service);
  return steps.filter(({ service }) => begun.includes(service) || before.includes(service));
}

interface Migrated extends Undone {
  readonly steps: readonly DataStep[];
}

/** What would bring the data of before back, for who agrees to lose what came since; otherwise why the release that failed stays. */
async function findData(
  progress: ReleaseInProgress,
  { target, release, failure, steps }: Migrated,
): Promise<DataRollback | string> {
  const { request, operator, session, setBefore } = progress;
  if (setBefore === undefined || changesDatabase(steps)) return "";
  const failed = failure.verify.filter(({ outcome }) => outcome === "failed");
  // Speed and security are no reason to lose data.
  if (failed.length > 0 && failed.every(({ id }) => /^(performance|security)-/.test(id))) return "";
  try {
    const data = await planDataRollback(session, { target, from: release.number });
    // Without a person no more is lost than what came since this release began.
    if (request.yes) return data.plan.id === setBefore ? data : "";
    // A person may take longer than a request may wait.
    await session.hold?.end();
    operator.say(`${failure.report}\n${renderDataRollback(data, session.stack)}`);
    const question = `Roll back to release ${target.number}, and overwrite the data with that of the set?`;
    return (await operator.confirm(question)) ? data : "";
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

/** Undefined when it worked. */
async function bringDataBack(
  progress: ReleaseInProgress,
  { target, failure, data }: Undone & { readonly data: DataRollback },
): Promise<Outcome | undefined> {
  const { session } = progress;
  try {
    Object.assign(progress.seconds, await restoreData(session, data));
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const failed = {
      report: `${failure.report}\nthe rollback to release ${target.number} failed: ${error.message}\ngo on with ${rollbackCommand(session.stack)}`,
      symptom: `${failure.symptom} ; le retour à la version ${target.number} a échoué aux données : ${error.message}`,
    };
    const more = { restored: target.number, set: data.plan.id };
    return await progress.recordFailure({ ...failure, ...failed }, more);
  }
}

/** The release that failed stays, because the one before may not be able to read its data. */
async function leave(
  progress: ReleaseInProgress,
  { target, release, failure, steps, why }: Migrated & { readonly why: string },
): Promise<Outcome> {
  const { stack } = progress.session;
  const list = renderDataSteps(steps);
  const set = progress.setBefore?.slice(0, 8);
  const copy = set === undefined ? "of which there is no copy" : `which the set ${set} has as it was before`;
  const lines = [
    failure.report,
    ...(why === "" ? [] : [why]),
    `release ${release.number} was not rolled back: ${list} may have changed the format of its data, ${copy}`,
    `correct Pulumi.${stack}.yaml and deploy again; ${wayBack(progress, { target, steps })}`,
  ];
  const symptom = `${failure.symptom} ; pas de retour à la version ${target.number} : ${list} a pu changer le format de ses données`;
  return await progress.recordFailure({ ...failure, report: lines.join("\n"), symptom });
}

function wayBack(
  { session: { stack }, setBefore }: ReleaseInProgress,
  { target, steps }: Pick<Migrated, "target" | "steps">,
): string {
  if (changesDatabase(steps))
    return "or put services.n8n.database and the images back there and deploy that; if n8n's data has moved already, preflight refuses that and says what to do";
  if (setBefore !== undefined) return `or go back with the data of before: ${rollbackCommand(stack)}`;
  return `or, if you know that the older version reads this data, npm run rollback -- ${stack} --to ${target.number} --data-stays --reason "…"`;
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
  const workflows = await planWorkflows(session, target);
  if (differs(target, { images, settings, workflows }) || databaseSteps(target.images, images).length > 0)
    return { target, release: record, images, workflows };
  const same =
    workflows.how === "same" ? "images, limits, timeouts and workflows" : "images, limits and timeouts";
  return [
    `release ${target.number} had the same ${same}, so a rollback would change nothing; ` +
      `what differs is the program (${target.revision} → ${request.revision}), other settings, or something outside of it`,
    ...keptSettings(target.settings, settings),
    ...workflows.kept,
  ].join("\n");
}

/** `npm run rollback`: an earlier release again, by hand. */
import { isDeepStrictEqual } from "node:util";

import { currentRelease, isGood, lastGood, unfinishedRollback, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import { isBackedUp, refuseHalfRestored } from "../backup/status.ts";
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/state.ts";
import { readRevision } from "../server/identity.ts";
import { readReleases, type Releases, renderCorrupt } from "../server/records.ts";
import { dataStays, dataSteps, stepsBack, type DataStep } from "./data.ts";
import {
  planDataRollback,
  renderDataRollback,
  restoreData,
  rollbackCommand,
  type DataRollback,
} from "./data-rollback.ts";
import { EXIT } from "./release-progress.ts";
import {
  describeStop,
  renderChanges,
  renderChecks,
  renderLate,
  renderRelease,
  renderSeconds,
} from "./render.ts";
import { restore, runningSettings, sayKept, type Restored } from "./restore.ts";
import { Session, type Operator } from "./session.ts";
import { describeWindow } from "./window.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";
import { planWorkflows, recordWorkflows } from "./workflows.ts";

export interface RollbackRequest {
  readonly stack: string;
  /** Undefined: the last good one before what runs. */
  readonly to: number | undefined;
  readonly reason: string;
  readonly yes: boolean;

  /** Whether programs that store data may go back to a version that is older than their data. */
  readonly dataStays: boolean;

  /** Whether the data of before the release that goes comes back, too. */
  readonly withData: boolean;
}

export async function rollback(request: RollbackRequest, operator: Operator): Promise<Outcome> {
  const { stack, reason } = request;
  const startedAt = operator.now().toISOString();
  const { revision } = await readRevision(operator.git);
  return await Session.during({ stack, why: `rollback: ${reason}`, operator }, async (session) => {
    const { server } = session;
    if (server === undefined)
      throw new UserError(`${stack}: there is no server, so there is no release to roll back to`);
    const known = await readReleases(server);
    const { target, from, set } = choose(request, known);
    // A rollback with data finishes what it began.
    if (!request.withData) await refuseHalfRestored(server, stack);
    await operator.resume(stack);
    const images = await readDeployedImages(stack, session.pulumi);
    operator.say(`back to ${renderRelease(target)}`);
    const workflows = await planWorkflows(session, target);
    sayKept(session, { target, workflows });
    const data = request.withData ? await planDataRollback(session, { target, from, set }) : undefined;
    const back = stepsBack(dataSteps(images, target.images));
    if (data === undefined && back.length > 0 && !request.dataStays)
      return { text: describeOldData(session, { request, target, back }), exitCode: EXIT.refused };
    for (const line of data ? [renderDataRollback(data, stack)] : dataStays(back)) operator.say(line);
    const overwrites = data === undefined || data.plan.done === true ? "" : ", and overwrite its data,";
    if (
      !request.yes &&
      !(await operator.confirm(`Restore release ${target.number}${overwrites} on ${stack}?`))
    )
      return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };

    const begun = await session.startRelease(server, {
      ...{ kind: "rollback", revision, reason, startedAt },
      settings: { ...runningSettings(session.environment), ...target.settings },
      restored: target.number,
      ...(await recordWorkflows(session, workflows.set)),
      ...(data && { set: data.plan.id }),
    });
    await announceRollback(session, { begun, target, stage: "started" });
    const seconds = data && (await bringDataBack(session, { begun, data }));
    const restored = await restore(session, {
      target,
      workflows,
      message: `release ${begun.number}: back to ${target.number}`,
      // The state may be wrong, which may be why somebody rolls back by hand.
      refresh: true,
    });
    for (const line of renderChecks("verify", [...restored.verify, restored.time])) operator.say(line);
    const before = { images, workflows: currentRelease(known.releases)?.workflows };
    const changes = renderChanges(before, { ...begun, images: restored.images });
    return await recordRollback(session, { begun, target, restored, changes, seconds });
  });
}

/** Gives how long it took. A failure is the end of the release; the same command goes on from there. */
async function bringDataBack(
  session: Session,
  { begun, data }: { readonly begun: Release; readonly data: DataRollback },
): Promise<{ readonly data: number }> {
  try {
    const seconds = await restoreData(session, data);
    session.signal.throwIfAborted();
    return seconds;
  } catch (error) {
    if (!(error instanceof UserError) && !session.signal.aborted) throw error;
    const failure = session.signal.aborted
      ? describeStop(session.signal.reason)
      : `les données : ${(error as Error).message}`;
    await session.finishRelease({ ...begun, outcome: "failed", failure });
    await session.audit({
      action: "rollback",
      reason: begun.reason,
      detail: `retour à la version ${data.target.number} en échec : ${failure}`,
      release: begun.number,
    });
    await announceRollback(session, { begun, target: data.target, stage: "failed", failure });
    throw new UserError(
      `${(error as Error).message}\ngo on with ${rollbackCommand(session.stack, begun.reason)}`,
      { cause: error },
    );
  }
}

function describeOldData(
  { stack, environment }: Session,
  about: { readonly request: RollbackRequest; readonly target: Release; readonly back: readonly DataStep[] },
): string {
  const { number } = about.target;
  const { reason, to } = about.request;
  const lines = dataStays(about.back).map((line) => `  ${line}`);
  const old = `${stack}: release ${number} has older versions of programs that store data`;
  if (isBackedUp(environment)) {
    const chosen = to === undefined ? "" : ` --to ${to}`;
    const command = `npm run rollback -- ${stack}${chosen} --with-data --reason ${JSON.stringify(reason)}`;
    return [
      `${old}:`,
      ...lines,
      `bring the data of then back, too, with ${command}, which shows what is lost`,
    ].join("\n");
  }
  return (
    `${old}, of which there is no copy:\n${lines.join("\n")}\n` +
    `change the other images in Pulumi.${stack}.yaml and deploy that; or, if you know that the older version reads this data, ` +
    `npm run rollback -- ${stack} --to ${number} --data-stays --reason ${JSON.stringify(reason)}`
  );
}

interface RolledBack {
  readonly begun: Release;
  readonly target: Release;
  readonly restored: Restored;
  readonly changes: string;
  /** Of what came before the engine. */
  readonly seconds: { readonly data: number } | undefined;
}

async function recordRollback(
  session: Session,
  { begun, target, restored, changes, ...rest }: RolledBack,
): Promise<Outcome> {
  const { hasPassed, verify, time, totalSeconds, images } = restored;
  const seconds = { ...rest.seconds, ...restored.seconds };
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
  await announceRollback(session, {
    ...{ begun, target },
    ...(hasPassed ? { stage: "finished" } : { stage: "failed", failure }),
  });
  const { stack, environment } = session;
  const text = [
    hasPassed
      ? `release ${target.number} runs again, as release ${begun.number}`
      : `${stack}: the rollback to release ${target.number} failed: ${restored.failure ?? "its verification failed"}`,
    ...renderLate(totalSeconds, releaseLimits(environment).rollbackSeconds),
    `Pulumi.${stack}.yaml still has what ran before: change it, or the next deployment deploys it again`,
    renderSeconds(seconds),
  ];
  return { text: text.join("\n"), exitCode: hasPassed ? EXIT.ok : EXIT.failed };
}

interface AnnouncedRollback {
  readonly begun: Release;
  readonly target: Release;
  readonly stage: "started" | "finished" | "failed";
  readonly failure?: string;
}

async function announceRollback(
  session: Session,
  { begun, target, stage, failure }: AnnouncedRollback,
): Promise<void> {
  const back = `retour à la version ${target.number}`;
  await session.announce({
    ...{ work: "rollback", stage, began: new Date(begun.startedAt), release: begun.number },
    ...{ detail: failure === undefined ? back : `${back} ; ${failure}`, reason: begun.reason },
    ...(stage === "started" && {
      window: describeWindow(session.environment.operations, { at: session.operator.now() }),
    }),
  });
}

interface Choice {
  readonly target: Release;
  /** Number of the release that runs. */
  readonly from: number;
  /** Of a rollback with data that was interrupted. */
  readonly set?: string;
}

function choose(request: RollbackRequest, known: Releases): Choice {
  const from = runningNumber(known.releases);
  const { restored, set } = (request.withData && unfinishedRollback(known.releases)) || {};
  const target = known.releases.find(({ number }) => number === restored);
  if (target !== undefined && set !== undefined && (request.to ?? restored) === restored)
    return { target, from, set };
  return { target: chooseTarget(request, known), from };
}

function chooseTarget({ stack, to }: RollbackRequest, { releases, corrupt }: Releases): Release {
  const notes = renderCorrupt(corrupt).map((line) => `\n  ${line}`);
  if (to === undefined) {
    const target = lastGood(releases, runningNumber(releases));
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

/** Number of the release that runs: after a rollback by hand an earlier one; and one that failed and was not rolled back runs all the same. */
function runningNumber(releases: readonly Release[]): number {
  const [current, last] = [currentRelease(releases), releases.at(-1)];
  const wasLeft =
    last?.outcome === "failed" &&
    last.restored === undefined &&
    !isDeepStrictEqual(last.images, current?.images);
  return wasLeft ? last.number : (current?.restored ?? current?.number ?? Infinity);
}

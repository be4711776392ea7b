/** What follows a release that turned out ill: the last good one is put back and verified. */
import type { Outcome } from "../command.ts";
import { readDeployedImages } from "../engine/outputs.ts";
import type { Release } from "../../common/release.ts";
import { readReleases } from "../server/releases.ts";
import { renderChecks, renderSeconds } from "./render.ts";
import {
  dataWarnings,
  differs,
  isWell,
  restore,
  restoredSeconds,
  runningSettings,
  timeCheck,
  type Restored,
} from "./restore.ts";
import { lastGood } from "../../common/release.ts";
import { end, EXIT, fail, type Failure, type Run } from "./release-progress.ts";

/** `refresh`: whether the engine no longer knows what is really there, after an update that failed half way. */
export async function undo(run: Run, failure: Failure & { readonly refresh: boolean }): Promise<Outcome> {
  const { operator, session, attempt } = run;
  const found = await findTarget(run);
  if (typeof found === "string") return await fail(run, { ...failure, told: `${failure.told}\n${found}` });

  const { target, release, images } = found;
  operator.say(`${failure.told}\nputting release ${target.number} back`);
  for (const line of dataWarnings(target.images, images)) operator.say(line);
  const restored = await restore(session, operator, {
    target,
    message: `release ${release.number} failed: back to ${target.number}`,
    refresh: failure.refresh,
  });
  Object.assign(attempt.seconds, restored.seconds);
  const { rollbackSeconds } = session.environment.operations.thresholds;
  const restoredVerify = [...restored.verify, timeCheck(restored, rollbackSeconds)];
  for (const line of renderChecks("verify after the rollback", restoredVerify)) operator.say(line);
  const more = { restored: target.number, restoredVerify };
  if (!isWell(restored)) {
    const why = restored.failure ?? "its verification fails too";
    const told = `${failure.told}\nrelease ${target.number} was put back, and is not well: ${why}`;
    const symptom = `${failure.symptom} ; le retour à la version ${target.number} a échoué aussi`;
    return await fail(run, { ...failure, told, symptom }, more);
  }

  const { told, symptom, verify } = failure;
  await end(run, { outcome: "rolled-back", images, verify: [...verify], failure: symptom, ...more });
  const seconds = restoredSeconds(restored);
  await session.audit({
    action: "rollback",
    reason: attempt.reason,
    detail: `version ${release.number} en échec (${symptom}), version ${target.number} remise en service en ${seconds.toFixed(0)} s`,
    release: release.number,
  });
  const text = [
    told,
    `release ${target.number} serves again`,
    ...renderLate(restored, rollbackSeconds),
    `Pulumi.${session.stack}.yaml still asks for what failed: change it, or the next deployment brings it again`,
    renderSeconds(attempt.seconds),
  ];
  return { text: text.join("\n"), exitCode: EXIT.rolledBack };
}

export function renderLate(restored: Restored, limitSeconds: number): string[] {
  const seconds = restoredSeconds(restored);
  if (seconds <= limitSeconds) return [];
  return [
    `expected to be back within ${limitSeconds} s (operations.thresholds.rollbackSeconds), got ${seconds.toFixed(0)} s`,
  ];
}

interface Target {
  readonly target: Release;
  readonly release: Release;
  /** Of the release that failed. */
  readonly images: Readonly<Record<string, string>>;
}

/** The release to go back to, or why there is none. */
async function findTarget({ session, attempt }: Run): Promise<Target | string> {
  const { release } = attempt;
  if (session.server === undefined || release === undefined)
    return "it was the first deployment: there is nothing to go back to";
  const { releases } = await readReleases(session.server);
  const target = lastGood(releases, release.number);
  if (target === undefined)
    return "no earlier release has passed its verification: there is nothing to go back to";
  const images = await readDeployedImages(session.stack, session.pulumi);
  if (differs(target, { images, settings: runningSettings(session.environment) }))
    return { target, release, images };
  return (
    `release ${target.number} had the same images and settings: going back to it would change nothing; ` +
    `what differs is the program (${target.revision} → ${attempt.revision}) or something outside of it`
  );
}

/** `npm run rollback`: a person puts an earlier release back. Its window is always open. */
import type { Outcome } from "../command.ts";
import { hashSettings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import { readDeployedImages } from "../engine/outputs.ts";
import type { Operator } from "./operator.ts";
import { renderCorrupt } from "../server/records-folder.ts";
import type { Release } from "../../common/release.ts";
import { finishRelease, readReleases, startRelease, type Releases } from "../server/releases.ts";
import { renderChecks, renderImageChanges, renderRelease, renderSeconds } from "./render.ts";
import { dataWarnings, isWell, restore, restoredSeconds, runningSettings, timeCheck } from "./restore.ts";
import { currentRelease, isGood, lastGood } from "../../common/release.ts";
import { EXIT } from "./release-progress.ts";
import { Session } from "./session.ts";
import { renderLate } from "./automatic-rollback.ts";
import { readRevision } from "../server/identity.ts";

export interface RollbackRequest {
  readonly stack: string;
  /** Undefined: the last good one before what runs. */
  readonly to: number | undefined;
  readonly reason: string;
  readonly yes: boolean;
}

export async function rollback(request: RollbackRequest, operator: Operator): Promise<Outcome> {
  const { stack, reason } = request;
  const startedAt = operator.now();
  const { revision } = await readRevision(operator.git);
  return await Session.during({ stack, why: `rollback: ${reason}` }, operator, async (session) => {
    const { server, environment } = session;
    if (server === undefined)
      throw new UserError(
        `${stack}: expected a deployed stack, got no server; there is nothing to go back to`,
      );
    const target = chooseTarget(request, await readReleases(server));
    await operator.resume(stack);
    const images = await readDeployedImages(stack, session.pulumi);
    operator.say(`back to ${renderRelease(target)}`);
    for (const line of dataWarnings(target.images, images)) operator.say(line);
    if (!request.yes && !(await operator.confirm(`Put release ${target.number} back on ${stack}?`)))
      return { text: "nothing was changed", exitCode: EXIT.refused };

    const begun = await startRelease(server, {
      stack,
      kind: "rollback",
      revision,
      images: {},
      settingsHash: hashSettings(environment),
      settings: { ...runningSettings(environment), ...target.settings },
      who: operator.identity.who,
      reason,
      emergency: false,
      startedAt: startedAt.toISOString(),
      preflight: [],
      restored: target.number,
      verify: [],
      restoredVerify: [],
      seconds: {},
    });
    const restored = await restore(session, operator, {
      target,
      message: `release ${begun.number}: back to ${target.number}`,
      // Whoever goes back by hand may do so because things are not as the state has them.
      refresh: true,
    });
    const { rollbackSeconds } = environment.operations.thresholds;
    const restoredVerify = [timeCheck(restored, rollbackSeconds)];
    for (const line of renderChecks("verify", [...restored.verify, ...restoredVerify])) operator.say(line);
    const well = isWell(restored);
    const failure = restored.failure ?? "la vérification est en échec";
    await finishRelease(session.server ?? server, {
      ...begun,
      images: restored.images,
      verify: [...restored.verify],
      restoredVerify,
      outcome: well ? "succeeded" : "failed",
      ...(well ? {} : { failure }),
      finishedAt: operator.now().toISOString(),
      seconds: restored.seconds,
    });
    const changes = renderImageChanges(images, restored.images);
    await session.audit({
      action: "rollback",
      reason,
      detail: well
        ? `version ${target.number} remise en service en ${restoredSeconds(restored).toFixed(0)} s : ${changes}`
        : `retour à la version ${target.number} en échec : ${failure}`,
      release: begun.number,
    });
    const told = well
      ? `release ${target.number} serves again, as release ${begun.number}`
      : `${stack}: expected release ${target.number} to serve again, got: ${restored.failure ?? "failed checks"}`;
    const text = [
      told,
      ...renderLate(restored, rollbackSeconds),
      `Pulumi.${stack}.yaml still asks for what ran before: change it, or the next deployment brings it again`,
      renderSeconds(restored.seconds),
    ];
    return { text: text.join("\n"), exitCode: well ? EXIT.ok : EXIT.failed };
  });
}

function chooseTarget({ stack, to }: RollbackRequest, { releases, corrupt }: Releases): Release {
  const notes = renderCorrupt(corrupt).map((line) => `\n  ${line}`);
  if (to === undefined) {
    const current = currentRelease(releases);
    // One that went back by hand runs an earlier one: "before" means before that.
    const target = lastGood(releases, current?.restored ?? current?.number ?? Infinity);
    if (target) return target;
    throw new UserError(
      `${stack}: expected an earlier release that passed its verification, got none; see npm run history -- ${stack}${notes.join("")}`,
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

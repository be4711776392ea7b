/** `npm run deploy`: preflight → plan → window → up → verify → observe → record, and the previous release again when the new one fails. */
import type { Check } from "../../common/check.ts";
import { lastGood } from "../../common/release.ts";
import type { Outcome } from "../command.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { readRevision } from "../server/identity.ts";
import { readReleases } from "../server/records.ts";
import { isBackedUp, refuseHalfRestored } from "../backup/status.ts";
import { prepareData, renderDataSteps, warnOfDataSteps, type DataStep } from "./data.ts";
import { checkCost } from "./cost-check.ts";
import { upgradeData } from "./data-upgrade.ts";
import { rollBackAutomatically } from "./automatic-rollback.ts";
import { holding, renderRestarts, restartedBy } from "./hold.ts";
import { observeRelease } from "./observe-release.ts";
import { EXIT, Refusal, ReleaseInProgress, type DeployPart, type DeployRequest } from "./release-progress.ts";
import { describeStop, renderChecks } from "./render.ts";
import { Session, type Operator } from "./session.ts";
import { silenced } from "./silenced.ts";
import { update, type Plan, type UpdateFailure } from "./update.ts";
import { checkWindow } from "./window-check.ts";

const LOCKING_PARTS: readonly DeployPart[] = ["up", "record"];

export async function deploy(request: DeployRequest, operator: Operator): Promise<Outcome> {
  const { stack, only } = request;
  const startedAt = operator.now().toISOString();
  const { revision, subject } = await readRevision(operator.git);
  const reason = request.reason === "" ? subject : request.reason;
  const locks = only === undefined || LOCKING_PARTS.includes(only);
  const why = locks ? `deploy: ${reason}` : undefined;
  return await Session.during({ stack, why, operator }, async (session) => {
    const progress = new ReleaseInProgress({ ...request, startedAt, revision, reason }, session);
    try {
      return only === undefined ? await runAll(progress) : await runPart(progress, only);
    } catch (error) {
      if (error instanceof Refusal) {
        if (locks) await session.audit({ action: "deploy", reason, detail: `refusé : ${error.detail}` });
        return { text: error.message, exitCode: EXIT.refused };
      }
      await recordInterruption(progress, error as Error);
      throw error;
    }
  });
}

/** A release without an end would look as if it still ran. */
async function recordInterruption(progress: ReleaseInProgress, { message }: Error): Promise<void> {
  if (progress.record?.outcome !== "running") return;
  const { signal } = progress.session;
  const symptom = signal.aborted ? describeStop(signal.reason) : `interrompue : ${message}`;
  try {
    await progress.recordFailure({ report: "", symptom, verify: [] });
  } catch (error) {
    // The caller reports the error that interrupted the release; the next deployment records the end.
    progress.operator.say(`the end could not be recorded: ${(error as Error).message}`);
  }
}

async function runAll(progress: ReleaseInProgress): Promise<Outcome> {
  await resumePending(progress);
  await preflight(progress);
  return await inPrivateFolder(async (folder) => {
    const plan = await progress.timed("plan", () => readPlan(progress, folder));
    checkWindowOf(progress);
    const dataSteps = await confirm(progress);
    progress.session.signal.throwIfAborted();
    return (await up(progress, { plan, dataSteps })) ?? (await verify(progress));
  });
}

async function runPart(progress: ReleaseInProgress, part: DeployPart): Promise<Outcome> {
  const { operator, session } = progress;
  switch (part) {
    case "preflight":
      await preflight(progress);
      return { text: renderChecks("preflight", progress.preflight).join("\n"), exitCode: EXIT.ok };
    case "plan":
      await inPrivateFolder((folder) => readPlan(progress, folder));
      return { text: "the plan fits the stack as it is now", exitCode: EXIT.ok };
    case "window":
      return { text: checkWindowOf(progress), exitCode: EXIT.ok };
    case "up":
      await resumePending(progress);
      return await inPrivateFolder(async (folder) => {
        const plan = await readPlan(progress, folder);
        const dataSteps = await confirm(progress);
        return (await up(progress, { plan, dataSteps })) ?? (await progress.recordSuccess([]));
      });
    case "verify": {
      const checks = await operator.verify({ ...session.context, earlier: await earlierChecks(progress) });
      const hasFailed = checks.some(({ outcome }) => outcome === "failed");
      return { text: renderChecks("verify", checks).join("\n"), exitCode: hasFailed ? EXIT.failed : EXIT.ok };
    }
    case "record":
      await progress.recordStart();
      return await progress.recordSuccess([]);
  }
}

/** The engine refuses to run while an earlier, killed run has operations pending. */
async function resumePending({ request, operator, session }: ReleaseInProgress): Promise<void> {
  const { adopted, forgotten, refreshed } = await operator.resume(request.stack);
  const [added, lost, read] = [adopted.length, forgotten.length, refreshed.length];
  if (added + lost + read === 0) return;
  operator.say(
    `left pending by a killed run: ${added} added to the state, ${lost} to be created again, ${read} refreshed`,
  );
  await session.audit({
    action: "resume",
    reason: "",
    detail: `reprise : ${added} ressources adoptées, ${lost} à refaire, ${read} relues`,
  });
}

async function preflight(progress: ReleaseInProgress): Promise<void> {
  const { request, operator, session } = progress;
  const checks = await progress.timed("preflight", () =>
    operator.preflight({ ...session.context, upgrades: request.upgrades }),
  );
  progress.preflight = checks;
  session.signal.throwIfAborted();
  const lines = renderChecks("preflight", checks);
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  if (failed.length > 0 && !request.emergency) {
    throw new Refusal(
      `${lines.join("\n")}\n${request.stack}: expected a preflight without failures, got ${failed.length}; fix them, ` +
        'or in an emergency continue with --emergency --reason "…", which is recorded',
      `contrôle préalable en échec (${failed.map(({ title }) => title).join(", ")})`,
    );
  }
  for (const line of lines) operator.say(line);
  if (failed.length > 0) operator.say(`continuing despite ${failed.length} failed checks (--emergency)`);
}

/** The reviewed plan, if it still fits; otherwise a new one, which is printed. */
async function readPlan(progress: ReleaseInProgress, folder: string): Promise<Plan> {
  const { request, operator } = progress;
  const { stack } = request;
  await checkCost(progress);
  if (request.plan === undefined) {
    const { plan, text, failure, hostKey } = await operator.makePlan(stack, folder);
    if (failure !== undefined)
      throw new Refusal(`${stack}: no plan could be made:\n${failure}`, "le plan n'a pas pu être établi");
    operator.say(text);
    progress.hostKey = hostKey;
    return plan;
  }
  const checked = await operator.checkPlan(stack, request.plan);
  if ("plan" in checked) return checked.plan;
  throw new Refusal(
    `${request.plan}: this plan is no longer what would be applied:\n` +
      `${checked.changed.map((line) => `  ${line}`).join("\n")}\n` +
      `make it again with npm run preview -- ${stack} --out ${request.plan}, and have it reviewed`,
    `le plan relu ne correspond plus (${checked.changed.length} différences)`,
  );
}

function checkWindowOf({ request, operator, session }: ReleaseInProgress): string {
  const { operations } = session.environment;
  return checkWindow(request, { ...operator, operations });
}

/** Gives the programs whose data the update may change. */
async function confirm(progress: ReleaseInProgress): Promise<readonly DataStep[]> {
  const { request, operator, hostKey } = progress;
  const steps = await progress.readDataSteps();
  const others = steps.filter(({ service }) => service !== request.upgrades);
  if (request.upgrades !== undefined && others.length > 0)
    throw new Refusal(
      `${request.stack}: expected one step at a time, got ${renderDataSteps(steps)}; deploy what else is in Pulumi.${request.stack}.yaml first`,
      `une étape à la fois : ${renderDataSteps(steps)}`,
    );
  for (const line of warnOfDataSteps(steps, { isBackedUp: isBackedUp(progress.session.environment) }))
    operator.say(line);
  const apply = `pply this to ${request.stack}?`;
  const question = hostKey === undefined ? `A${apply}` : `${hostKey}\nTrust that server, and a${apply}`;
  if (request.yes || (await operator.confirm(question))) return steps;
  throw new Refusal("cancelled; nothing was changed", "personne n'a confirmé");
}

/** Undefined when it worked. */
async function up(
  progress: ReleaseInProgress,
  { plan, dataSteps }: { readonly plan: Plan; readonly dataSteps: readonly DataStep[] },
): Promise<Outcome | undefined> {
  const { operator, session } = progress;
  const { stack, reason } = progress.request;
  if (session.server !== undefined) await refuseHalfRestored(session.server, stack);
  await progress.recordStart();
  await progress.announceStart();
  progress.setBefore = await prepareData(session, { steps: dataSteps, release: progress.record?.number });
  const message = progress.record ? `release ${progress.record.number}` : "first deployment";
  const { result, lacks } = await silenced(session, message, async () => {
    const { upgrades } = progress.request;
    if (upgrades !== undefined) {
      const image = session.environment.images[upgrades];
      await upgradeData(session, { service: upgrades, image, set: progress.setBefore });
    }
    await session.server?.logInForDocker();
    progress.updateBegan = operator.now();
    const { pulumi, signal } = session;
    const restarted = session.hold === undefined ? [] : await restartedBy(plan);
    if (restarted.length > 0)
      operator.say(
        `${renderRestarts(restarted)}: requests to n8n wait at the gateway; an open editor connects again by itself`,
      );
    return await progress.timed("up", () =>
      holding(session, restarted, (environment) =>
        update({ stack, pulumi, message, onLine: operator.say, signal, plan, environment }),
      ),
    );
  });
  await session.refresh();
  // Only now does a first deployment have a server to record it on.
  await progress.recordStart();
  const { failure, rotated } = result;
  if (rotated.length > 0) {
    const release = progress.record ? { release: progress.record.number } : {};
    await session.audit({
      action: "secret",
      reason,
      detail: `secrets changés : ${rotated.join(", ")}`,
      ...release,
    });
  }
  if (failure !== undefined) return await endFailedUpdate(progress, failure);
  return lacks === undefined ? undefined : await endWithoutN8n(progress, lacks);
}

async function endFailedUpdate(
  progress: ReleaseInProgress,
  { changed, ...failure }: UpdateFailure,
): Promise<Outcome> {
  const { session, request } = progress;
  const output = session.redact(failure.output);
  const report = `${request.stack}: the update failed:\n${output}`;
  const symptom = `la mise à jour a échoué : ${output}`;
  if (session.signal.aborted) {
    const { reason } = session.signal as { reason: Error };
    return await progress.recordFailure({
      report: `${report}\n${reason.message}`,
      symptom: `${describeStop(reason)} ; ${symptom}`,
      verify: [],
    });
  }
  if (changed.length === 0)
    return await progress.recordFailure({
      report: `${report}\nnothing was changed`,
      symptom: `${symptom} ; rien n'a été changé`,
      verify: [],
    });
  return await rollBackAutomatically(progress, { report, symptom, verify: [], changed });
}

/** Its requests are still held: they are answered by the release before, where there is one to go back to. */
async function endWithoutN8n(progress: ReleaseInProgress, lacks: string): Promise<Outcome> {
  const { stack } = progress.request;
  const { webhookSeconds } = progress.session.environment.workflows;
  return await rollBackAutomatically(progress, {
    report: `${stack}: after the update n8n lacked ${lacks} for ${webhookSeconds} s`,
    symptom: `n8n ne répond pas comme avant la mise à jour, ${webhookSeconds} s après elle`,
    verify: [],
  });
}

/** What a verification compares with: the preflight, or the last good release where there was none. */
async function earlierChecks({ preflight: seen, session }: ReleaseInProgress): Promise<readonly Check[]> {
  if (seen.length > 0 || session.server === undefined) return seen;
  const { releases } = await readReleases(session.server);
  return lastGood(releases, Infinity)?.verify ?? [];
}

async function verify(progress: ReleaseInProgress): Promise<Outcome> {
  const { request, operator, session } = progress;
  const earlier = await earlierChecks(progress);
  const checks = await progress.timed("verify", () => operator.verify({ ...session.context, earlier }));
  for (const line of renderChecks("verify", checks)) operator.say(line);
  session.signal.throwIfAborted();
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  if (failed.length === 0) return await observeRelease(progress, checks);
  return await rollBackAutomatically(progress, {
    report: `${request.stack}: the verification of the release failed in ${failed.length} checks`,
    symptom: `vérification en échec : ${failed.map(({ title, detail }) => `${title} (${detail})`).join(" ; ")}`,
    verify: checks,
  });
}

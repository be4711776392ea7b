/** `npm run deploy`: preflight → plan → window → up → verify → record, and the previous release back when the new one is ill. */
import type { Outcome } from "../command.ts";
import { inPrivateFolder } from "../engine/run.ts";
import { update, type Plan } from "./update.ts";
import type { Operator } from "./operator.ts";
import { renderChecks } from "./render.ts";
import {
  begin,
  EXIT,
  fail,
  Refusal,
  succeed,
  timed,
  type Attempt,
  type DeployRequest,
  type Run,
  type Step,
} from "./release-progress.ts";
import { Session } from "./session.ts";
import { undo } from "./automatic-rollback.ts";
import { readRevision } from "../server/identity.ts";
import { renderInstant, windowAt } from "./window.ts";

const TAKE_THE_LOCK: readonly Step[] = ["up", "record"];

export async function deploy(request: DeployRequest, operator: Operator): Promise<Outcome> {
  const { stack, only } = request;
  const startedAt = operator.now();
  const { revision, subject } = await readRevision(operator.git);
  const reason = request.reason === "" ? subject : request.reason;
  const locks = only === undefined || TAKE_THE_LOCK.includes(only);
  const why = locks ? `deploy: ${reason}` : undefined;
  return await Session.during({ stack, why }, operator, async (session) => {
    const attempt: Attempt = {
      startedAt,
      revision,
      reason,
      seconds: {},
      preflight: [],
      release: undefined,
    };
    const run: Run = { request, operator, session, attempt };
    try {
      return only === undefined ? await everyStep(run) : await oneStep(only, run);
    } catch (error) {
      if (error instanceof Refusal) {
        if (locks) await session.audit({ action: "deploy", reason, detail: `refusé : ${error.detail}` });
        return { text: error.message, exitCode: EXIT.refused };
      }
      await breakOff(run, error as Error);
      throw error;
    }
  });
}

/** Nobody may take what was broken off for something that still runs. */
async function breakOff(run: Run, { message }: Error): Promise<void> {
  if (run.attempt.release?.outcome !== "running") return;
  try {
    await fail(run, { told: "", symptom: `interrompue : ${message}`, verify: [] });
  } catch (error) {
    // The error that broke it off is the one to be told; the next deployment records the end.
    run.operator.say(`the end could not be recorded: ${(error as Error).message}`);
  }
}

async function everyStep(run: Run): Promise<Outcome> {
  const { session } = run;
  await settlePending(run);
  await preflight(run);
  return await inPrivateFolder(async (folder) => {
    const plan = await timed(run, "plan", () => readPlan(run, folder));
    checkWindow(run);
    await confirm(run);
    session.signal.throwIfAborted();
    return (await up(run, plan)) ?? (await verify(run));
  });
}

async function oneStep(step: Step, run: Run): Promise<Outcome> {
  const { operator, session, attempt } = run;
  switch (step) {
    case "preflight":
      await preflight(run);
      return { text: renderChecks("preflight", attempt.preflight).join("\n"), exitCode: EXIT.ok };
    case "plan":
      await inPrivateFolder((folder) => readPlan(run, folder));
      return { text: "the plan fits the stack as it is now", exitCode: EXIT.ok };
    case "window":
      return { text: checkWindow(run), exitCode: EXIT.ok };
    case "up":
      await settlePending(run);
      return await inPrivateFolder(async (folder) => {
        const plan = await readPlan(run, folder);
        await confirm(run);
        return (await up(run, plan)) ?? (await succeed(run, []));
      });
    case "verify": {
      const checks = await operator.verify(session.context);
      const isIll = checks.some(({ outcome }) => outcome === "failed");
      return { text: renderChecks("verify", checks).join("\n"), exitCode: isIll ? EXIT.failed : EXIT.ok };
    }
    case "record":
      await begin(run);
      return await succeed(run, []);
  }
}

/** What a killed run of the engine left half done is settled first: the next one would stumble over it. */
async function settlePending({ request, operator, session }: Run): Promise<void> {
  const { adopted, forgotten, refreshed } = await operator.resume(request.stack);
  if (adopted.length + forgotten.length + refreshed.length === 0) return;
  const counts = [adopted.length, forgotten.length, refreshed.length];
  operator.say(
    `left pending by a killed run: ${counts[0]} taken into the state, ${counts[1]} made again, ${counts[2]} read anew`,
  );
  await session.audit({
    action: "resume",
    reason: "",
    detail: `reprise : ${counts[0]} ressources adoptées, ${counts[1]} à refaire, ${counts[2]} relues`,
  });
}

async function preflight(run: Run): Promise<void> {
  const { request, operator, session, attempt } = run;
  attempt.preflight = await timed(run, "preflight", () => operator.preflight(session.context));
  session.signal.throwIfAborted();
  const lines = renderChecks("preflight", attempt.preflight);
  const failed = attempt.preflight.filter(({ outcome }) => outcome === "failed");
  if (failed.length > 0 && !request.emergency) {
    throw new Refusal(
      `${lines.join("\n")}\n${request.stack}: expected a preflight without failures, got ${failed.length}; put them right, ` +
        'or in an emergency go on with --emergency --reason "…", which is recorded',
      `contrôle préalable en échec (${failed.map(({ title }) => title).join(", ")})`,
    );
  }
  for (const line of lines) operator.say(line);
  if (failed.length > 0) operator.say(`an emergency: goes on in spite of ${failed.length} failed checks`);
}

/** The plan that was given, if it still fits; otherwise one is made and told. */
async function readPlan({ request, operator }: Run, folder: string): Promise<Plan> {
  const { stack } = request;
  if (request.plan === undefined) {
    const { plan, text, failure } = await operator.makePlan(stack, folder);
    if (failure !== undefined)
      throw new Refusal(`${stack}: expected a plan, got:\n${failure}`, "le plan n'a pas pu être établi");
    operator.say(text);
    return plan;
  }
  const checked = await operator.checkPlan(stack, request.plan);
  if ("plan" in checked) return checked.plan;
  throw new Refusal(
    `${request.plan}: expected the plan of what would be applied now, got one that no longer is:\n` +
      `${checked.changed.map((line) => `  ${line}`).join("\n")}\nmake it again with npm run preview -- ${stack} --out ${request.plan}, and have it reviewed`,
    `le plan relu ne correspond plus (${checked.changed.length} différences)`,
  );
}

function checkWindow({ request, operator, session }: Run): string {
  const { stack, emergency } = request;
  const state = windowAt(session.environment.operations, operator.now());
  if (state.open) {
    const until = state.until === undefined ? "at any time" : `until ${renderInstant(state.until)}`;
    return `the window of ${stack} is open ${until}`;
  }
  const next = state.next === undefined ? "none within two years" : renderInstant(state.next);
  const closed = `the window of ${stack} is closed, because ${state.why}; next opening: ${next}`;
  if (!emergency)
    throw new Refusal(
      `${closed}\nin an emergency go on with --emergency --reason "…", which is recorded`,
      `fenêtre fermée, prochaine ouverture : ${state.next?.toISOString() ?? "aucune"}`,
    );
  operator.say(`${closed}\nan emergency: goes on`);
  return `${closed}; an emergency passes`;
}

async function confirm({ request, operator }: Run): Promise<void> {
  if (request.yes || (await operator.confirm(`Apply this to ${request.stack}?`))) return;
  throw new Refusal("nothing was changed", "personne n'a confirmé");
}

/** Undefined when it worked. */
async function up(run: Run, plan: Plan): Promise<Outcome | undefined> {
  const { request, operator, session, attempt } = run;
  const { stack } = request;
  await begin(run);
  await session.server?.logInForDocker();
  const message = attempt.release ? `release ${attempt.release.number}` : "first deployment";
  const { failure, rotated } = await timed(run, "up", () =>
    update({ stack, pulumi: session.pulumi, message, onLine: operator.say, signal: session.signal, plan }),
  );
  await session.refresh();
  // A first deployment has made its server by now, or the part of it that can be logged in to.
  await begin(run);
  if (rotated.length > 0) {
    await session.audit({
      action: "secret",
      reason: attempt.reason,
      detail: `secrets changés : ${rotated.join(", ")}`,
      ...(attempt.release ? { release: attempt.release.number } : {}),
    });
  }
  if (failure === undefined) return undefined;

  const told = `${stack}: expected the update to work, got:\n${failure.said}`;
  const symptom = `la mise à jour a échoué : ${failure.said}`;
  if (session.signal.aborted)
    return await fail(run, { told, symptom: `interrompue par l'opérateur ; ${symptom}`, verify: [] });
  if (!failure.changed)
    return await fail(run, {
      told: `${told}\nnothing was changed`,
      symptom: `${symptom} ; rien n'a été changé`,
      verify: [],
    });
  return await undo(run, { told, symptom, verify: [], refresh: true });
}

async function verify(run: Run): Promise<Outcome> {
  const { request, operator, session } = run;
  const checks = await timed(run, "verify", () => operator.verify(session.context));
  for (const line of renderChecks("verify", checks)) operator.say(line);
  session.signal.throwIfAborted();
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  if (failed.length === 0) return await succeed(run, checks);
  return await undo(run, {
    told: `${request.stack}: expected the release to pass its verification, got ${failed.length} failed checks`,
    symptom: `vérification en échec : ${failed.map(({ title, detail }) => `${title} (${detail})`).join(" ; ")}`,
    verify: checks,
    refresh: false,
  });
}

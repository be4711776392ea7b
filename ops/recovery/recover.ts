/**
 * `npm run recover`: a server that burned or was reinstalled becomes what it was, and a state that was lost with it is made again, in steps
 * that are timed. After an interruption the same command goes on: what is done is found as it should be.
 */
import { UserError } from "../../common/user-error.ts";
import { renderTime, short } from "../backup/backup.ts";
import { restoreStack } from "../backup/restore.ts";
import type { BackupWorld } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import { deploy } from "../deploy/deploy.ts";
import type { Operator } from "../deploy/session.ts";
import { update } from "../deploy/update.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { readEnvironment } from "../engine/settings.ts";
import { announce, type Announcement } from "../monitoring/announce.ts";
import { onServer } from "../on-server.ts";
import { TimedSteps } from "../timed-steps.ts";
import { chooseSet, type ChosenSet } from "./chosen-set.ts";
import { forgetLost, requireServerOrConsent } from "./lost-server.ts";
import { ensureState } from "./lost-state.ts";

export interface RecoverRequest {
  readonly stack: string;

  /** Beginning of a set's id. @default the newest */
  readonly set: string | undefined;

  /** Whether the operator has said that the state is lost. */
  readonly stateLost: boolean;
  readonly yes: boolean;
}

export interface RecoverWorld {
  readonly operator: Operator;
  readonly world: BackupWorld;
}

export async function recoverStack(
  request: RecoverRequest,
  { operator, world }: RecoverWorld,
): Promise<Outcome> {
  const { stack } = request;
  const steps = new TimedSteps(world);
  const began = world.now();
  if (!(await steps.run("state", () => ensureState(request, world))))
    return { text: "nothing was changed", exitCode: 1 };
  await steps.run("server", () => settleServer(stack, operator));
  const set = await steps.run("set", () => chooseSet(request, world));
  const agreed = await steps.run("plan", () => planAgain({ ...request, set }, { operator, world }));
  if (!agreed) return { text: "nothing was changed on the server", exitCode: 1 };
  await steps.run("deploy", () => deployAgain(stack, operator));
  const tell = (what: Pick<Announcement, "stage" | "detail">) =>
    tellTeam(stack, { world, announcement: { work: "recovery", began, ...what } });
  // Before that there is nothing on the server that could.
  await tell({ stage: "started", detail: `serveur en place, données du jeu ${short(set.id)} à restaurer` });
  try {
    const restored = await steps.run("restore", () =>
      restoreStack(
        { stack, set: set.id, only: undefined, keepNothing: false, undo: false, yes: true },
        world,
      ),
    );
    const verified = await steps.run("verify", () =>
      deploy({ stack, only: "verify", plan: undefined, emergency: false, reason: "", yes: true }, operator),
    );
    const exitCode = restored.exitCode === 0 ? verified.exitCode : restored.exitCode;
    await tell(
      exitCode === 0
        ? { stage: "finished", detail: "données restaurées, vérification réussie" }
        : { stage: "failed", detail: "la vérification est en échec" },
    );
    return { text: [restored.text, verified.text, steps.render()].join("\n\n"), exitCode };
  } catch (error) {
    await tell({ stage: "failed", detail: (error as Error).message });
    throw error;
  }
}

async function tellTeam(
  stack: string,
  { world, announcement }: { readonly world: BackupWorld; readonly announcement: Announcement },
): Promise<void> {
  try {
    const environment = await readEnvironment(stack, world.pulumi);
    await onServer(stack, world, (server) => announce({ ...world, server, environment }, announcement));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    world.say(`nobody was told of this recovery: ${error.message}`);
  }
}

/** Leaves in the state only what there is: without what was lost, and with what an interrupted run has made. */
async function settleServer(stack: string, operator: Operator): Promise<void> {
  await forgetLost(stack, operator);
  await requireServerOrConsent(stack, operator);
  const { adopted, refreshed } = await operator.resume(stack);
  for (const name of [...adopted, ...refreshed]) operator.say(`goes on with ${name}`);
}

/** Shows what is set up again, with the price of what is ordered, and asks. */
async function planAgain(
  { stack, yes, set }: Pick<RecoverRequest, "stack" | "yes"> & { readonly set: ChosenSet },
  { operator: { makePlan, say, confirm }, world }: RecoverWorld,
): Promise<boolean> {
  const minutes = Math.round((world.now().getTime() - Date.parse(set.storedAt)) / 60_000);
  const named = `the set ${short(set.id)} of ${renderTime(set.storedAt)} UTC, ${minutes} minutes old`;
  say(`what comes back is ${named}`);
  return await inPrivateFolder(async (folder) => {
    const { text, failure } = await makePlan(stack, folder);
    say(text);
    if (failure !== undefined)
      throw new UserError(`${failure}\nfix this and type npm run recover -- ${stack} again`);
    return yes || (await confirm(`set ${stack} up as shown, and overwrite its data with ${named}?`));
  });
}

async function deployAgain(stack: string, { pulumi, say, signal }: Operator): Promise<void> {
  const { failure } = await update({ stack, pulumi, message: "recover", onLine: say, signal });
  if (failure === undefined) return;
  // A state that was made again knows nothing of what runs on the server.
  const inUse = /already exists|already in use/.test(failure.output)
    ? `\nthe server still has an earlier installation: reinstall it in OVH's control panel (docs/operations.md says how to save its newest data first)`
    : "";
  throw new UserError(
    `${stack} could not be set up again: ${failure.output}${inUse}\nfix this and type npm run recover -- ${stack} again, which goes on from here`,
  );
}

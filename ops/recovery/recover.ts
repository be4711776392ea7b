/**
 * `npm run recover`: a server that burned or was reinstalled becomes what it was, in four steps that are timed. After an interruption the same
 * command goes on: what is done is found as it should be.
 */
import { UserError } from "../../common/user-error.ts";
import { restoreStack } from "../backup/restore.ts";
import type { BackupWorld } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import { deploy } from "../deploy/deploy.ts";
import type { Operator } from "../deploy/session.ts";
import { update } from "../deploy/update.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { forgetReinstalled, NotReinstalled } from "../engine/reinstalled.ts";
import { readState } from "../engine/state.ts";
import { renderTable } from "../terminal.ts";

export interface RecoverRequest {
  readonly stack: string;

  /** Beginning of a set's id. @default the newest */
  readonly set: string | undefined;
  readonly yes: boolean;
}

export interface RecoverWorld {
  readonly operator: Operator;
  readonly world: BackupWorld;
}

export async function recoverStack(
  { stack, set, yes }: RecoverRequest,
  { operator, world }: RecoverWorld,
): Promise<Outcome> {
  const steps = new Steps(world);
  await steps.run("server", () => forgetLost(stack, operator));
  const agreed = await steps.run("plan", () => planAgain({ stack, yes }, operator));
  if (!agreed) return { text: "nothing was changed on the server", exitCode: 1 };
  await steps.run("deploy", () => deployAgain(stack, operator));
  const restored = await steps.run("restore", () =>
    restoreStack({ stack, set, only: undefined, keepNothing: false, undo: false, yes: true }, world),
  );
  const request = {
    stack,
    only: "verify",
    plan: undefined,
    emergency: false,
    reason: "",
    yes: true,
  } as const;
  const verified = await steps.run("verify", () => deploy(request, operator));
  return {
    text: [restored.text, verified.text, steps.render()].join("\n\n"),
    exitCode: restored.exitCode === 0 ? verified.exitCode : restored.exitCode,
  };
}

/** Takes out of the state what was on the lost disk, where there is such a thing. */
async function forgetLost(stack: string, { pulumi, say }: Operator): Promise<void> {
  const { resources } = await readState(stack, pulumi);
  if (!resources.some(({ type }) => type === "technicia:host:HostKey")) {
    say("the state knows nothing that was on a server");
    return;
  }
  try {
    const names = await forgetReinstalled(stack, pulumi);
    say(`removed ${names.length} resources of the lost installation from the state`);
  } catch (error) {
    if (!(error instanceof NotReinstalled)) throw error;
    say(
      "OVH has not reinstalled the server since the last deployment: it stays as it is, and its data is overwritten",
    );
  }
}

/** Shows what is set up again, with the price of what is ordered, and asks. */
async function planAgain(
  { stack, yes }: Pick<RecoverRequest, "stack" | "yes">,
  { makePlan, say, confirm }: Operator,
): Promise<boolean> {
  return await inPrivateFolder(async (folder) => {
    const { text, failure } = await makePlan(stack, folder);
    say(text);
    if (failure !== undefined)
      throw new UserError(`${failure}\nfix this and type npm run recover -- ${stack} again`);
    return yes || (await confirm(`set ${stack} up as shown, and overwrite its data with a set of backups?`));
  });
}

async function deployAgain(stack: string, { pulumi, say, signal }: Operator): Promise<void> {
  const { failure } = await update({ stack, pulumi, message: "recover", onLine: say, signal });
  if (failure === undefined) return;
  throw new UserError(
    `${stack} could not be set up again: ${failure.output}\nfix this and type npm run recover -- ${stack} again, which goes on from here`,
  );
}

/** Times what is done, and tells it. */
class Steps {
  readonly #world: Pick<BackupWorld, "now" | "say">;
  readonly #seconds: [name: string, seconds: number][] = [];

  constructor(world: Pick<BackupWorld, "now" | "say">) {
    this.#world = world;
  }

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const began = this.#world.now().getTime();
    this.#world.say(`${name} …`);
    const result = await work();
    this.#seconds.push([name, (this.#world.now().getTime() - began) / 1000]);
    return result;
  }

  render(): string {
    const sum = this.#seconds.reduce((total, [, seconds]) => total + seconds, 0);
    const rows = [...this.#seconds, ["together", sum] as const];
    return renderTable({
      headings: ["Step", "Seconds"],
      rows: rows.map(([name, seconds]) => [name, seconds.toFixed(1)]),
    });
  }
}

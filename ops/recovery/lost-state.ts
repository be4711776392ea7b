/** Where the state itself is lost: asks, makes an empty one with the settings' own salt, and fills it with what the vendors have. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { NoSuchStack, parsePrinted } from "../engine/cli.ts";
import { readState } from "../engine/state.ts";
import { adoptAll, type AdoptWorld } from "./adopt.ts";

interface LostState {
  readonly stack: string;

  /** Whether the operator has said on the command line that the state is lost. */
  readonly stateLost: boolean;
  readonly yes: boolean;
}

type World = AdoptWorld & Pick<Effects, "say" | "confirm">;

/** False where the operator says that the state is not lost. A state with resources stays as it is. */
export async function ensureState(request: LostState, world: World): Promise<boolean> {
  const { stack } = request;
  const { pulumi, say } = world;
  const found = await findState(stack, world);
  if (found === "full") {
    say("the state is at hand");
    return true;
  }
  if (!(await isAgreed(request, world))) return false;
  if (found === "none") await pulumi({ args: ["stack", "init", "--stack", stack, "--no-select"] });
  const adopted = await adoptAll(stack, world);
  for (const [name, id] of adopted) say(`adopted ${name} (${id})`);
  if (adopted.length === 0) say("the vendors have nothing of this environment");
  return true;
}

async function findState(stack: string, { pulumi }: World): Promise<"none" | "empty" | "full"> {
  try {
    const { resources } = await readState(stack, pulumi);
    return resources.length === 0 ? "empty" : "full";
  } catch (error) {
    if (error instanceof NoSuchStack) return "none";
    throw error;
  }
}

/** Whoever is logged in to another place than the team's would get a second state of the same things. */
async function isAgreed({ stack, stateLost, yes }: LostState, { pulumi, confirm }: World): Promise<boolean> {
  if (stateLost) return true;
  const { url } = parsePrinted(
    "pulumi whoami --json",
    await pulumi({ args: ["whoami", "--json"] }),
    z.object({ url: z.string().default("this place") }),
  );
  if (yes)
    throw new UserError(
      `${stack}: expected a state at ${url}, got none; run pulumi login with the place of your state, or, if the state is lost, add --state-lost`,
    );
  return await confirm(
    `${url} has no state of ${stack}: is it lost, and is a new one to be made of what the vendors have?`,
  );
}

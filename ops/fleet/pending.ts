/** What waits for a maintenance on each of several servers. That of the server of the data is read with whatever else is asked there. */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { deployedEnvironment } from "../engine/deployed-servers.ts";
import type { StateResource } from "../engine/state.ts";
import type { ServerCommand } from "../server/connection.ts";
import { readPatches, type Patches } from "../server/patches.ts";
import { Connections, type Member, membersIn } from "./fleet.ts";

export interface PatchesOf {
  readonly name: string;

  /** Or why they are not known. */
  readonly patches: Patches | { readonly why: string };
}

/** The servers other than that of the data, as they are deployed; none where there is one. */
export function otherMembers(stack: string, resources: readonly StateResource[]): readonly Member[] {
  const environment = deployedEnvironment(stack, resources);
  if (environment === undefined) return [];
  const { members, home } = membersIn(environment, resources);
  return members.filter((member) => member !== home);
}

export async function readPatchesOf(
  members: readonly Member[],
  effects: Pick<Effects, "openServer">,
  options: Pick<ServerCommand, "timeoutSeconds">,
): Promise<readonly PatchesOf[]> {
  return await Connections.during(effects, (connections) =>
    Promise.all(
      members.map(async (member) => {
        const { name } = member;
        try {
          return { name, patches: await readPatches(connections.to(member), options) };
        } catch (error) {
          if (error instanceof UserError) return { name, patches: { why: error.message } };
          throw error;
        }
      }),
    ),
  );
}

/** `server`: undefined for the server of the data. */
export function maintainCommand(stack: string, server: string | undefined): string {
  return `npm run maintain -- ${stack}${server === undefined ? "" : ` --server ${server}`}`;
}

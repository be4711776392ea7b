/** What the state says of the servers of a stack: with which settings they were deployed, and how each is reached. */
import { z } from "zod";

import { parseUrn } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { DECLARATION_TYPE, declarationRecord } from "../../stacks/declaration-record.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Environment } from "../../stacks/environment.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { homeOf } from "../../stacks/servers.ts";
import { environmentIn } from "./settings.ts";
import type { StateResource } from "./state.ts";

/** Key of the first server, whose resources have no server in their names; no server is called so. */
export const FIRST = "";

/** The settings of the last deployment; undefined where this version cannot read them. */
export function deployedEnvironment(
  stack: string,
  resources: readonly StateResource[],
): Environment | undefined {
  const declared = resources.find(({ type }) => type === DECLARATION_TYPE);
  const record = declarationRecord.safeParse(declared?.outputs).data;
  if (record === undefined) return undefined;
  const entries = Object.entries(record.settings).map(
    ([name, value]) => [name, { secret: false, value }] as const,
  );
  try {
    return environmentIn(stack, Object.fromEntries(entries));
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const connection = z.object({
  hostAddress: z.string(),
  hostPort: z.string(),
  hostUser: z.string(),
  hostPrivateKeyFile: z.string(),
  hostKey: z.string(),
});

/**
 * Name of a server in its resources (`FIRST` for the first one) → how to log in. From the program's own connections, which an interrupted
 * deployment has in its state before the outputs.
 */
export function connectionsIn(resources: readonly StateResource[]): ReadonlyMap<string, StackOutputs["ssh"]> {
  const found = resources.flatMap(({ urn, type, inputs }): [string, StackOutputs["ssh"]][] => {
    const read = type === "pulumi:providers:technicia" ? connection.safeParse(inputs).data : undefined;
    if (read === undefined) return [];
    const ssh = {
      address: read.hostAddress,
      port: Number(read.hostPort),
      user: read.hostUser,
      privateKeyFile: read.hostPrivateKeyFile,
      hostKey: read.hostKey,
    };
    return [[serverOf(parseUrn(urn).name) ?? FIRST, ssh]];
  });
  return new Map(found);
}

/** How to log in to the server of the data; undefined before one was ever reached. */
export function homeConnectionIn(
  stack: string,
  resources: readonly StateResource[],
): StackOutputs["ssh"] | undefined {
  const connections = connectionsIn(resources);
  const environment = connections.size > 1 ? deployedEnvironment(stack, resources) : undefined;
  const home = environment && keyOf(environment, homeOf(environment).name);
  return connections.get(home ?? FIRST) ?? connections.values().next().value;
}

/** Name of a server in its resources. */
export function keyOf({ servers }: Pick<Environment, "servers">, name: string): string {
  return servers[0].name === name ? FIRST : name;
}

/** What the stack's state says that there is, and how to reach it. */
import { z } from "zod";

import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Pulumi } from "../engine/cli.ts";
import { readState, type StateResource } from "../engine/state.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";

export interface DeployedState {
  /** Without components and providers. */
  readonly resources: readonly StateResource[];

  /** With components and providers. */
  readonly all: readonly StateResource[];

  /** How to log in to the server; undefined before one was ever reached. */
  readonly ssh: StackOutputs["ssh"] | undefined;

  /** Why not everything that should be there is in the state; undefined for a deployment that ended well. */
  readonly incomplete: string | undefined;
}

/** No secret is decrypted. */
export async function readDeployedState(stack: string, pulumi: Pulumi): Promise<DeployedState> {
  const { resources: all, pending } = await readState(stack, pulumi);
  const resources = all.filter(({ custom, type }) => custom === true && !type.startsWith("pulumi:"));
  if (resources.length === 0) {
    throw new UserError(
      `${stack}: expected a deployed stack, got an empty one; deploy it with npm run deploy -- ${stack}`,
    );
  }
  return {
    resources,
    all,
    ssh: sshOf(all),
    incomplete: incompleteOf(stack, { all, pending: pending.map(({ resource: { urn } }) => nameOf(urn)) }),
  };
}

/** Whether the resource is read through the server's sshd. */
export function isOnServer({ type }: Pick<StateResource, "type">): boolean {
  return type.startsWith("technicia:host:") || type.startsWith("docker:");
}

const connection = z.object({
  hostAddress: z.string(),
  hostPort: z.string(),
  hostUser: z.string(),
  hostPrivateKeyFile: z.string(),
  hostKey: z.string(),
});

/** The program's own connection: it is there before the outputs of a deployment that was cut short. */
function sshOf(resources: readonly StateResource[]): DeployedState["ssh"] {
  for (const { type, inputs } of resources) {
    const found = type === "pulumi:providers:technicia" ? connection.safeParse(inputs).data : undefined;
    if (found === undefined) continue;
    return {
      address: found.hostAddress,
      port: Number(found.hostPort),
      user: found.hostUser,
      privateKeyFile: found.hostPrivateKeyFile,
      hostKey: found.hostKey,
    };
  }
  return undefined;
}

function incompleteOf(
  stack: string,
  { all, pending }: { readonly all: readonly StateResource[]; readonly pending: readonly string[] },
): string | undefined {
  if (pending.length > 0) {
    return `an earlier run was cut short while it made or changed ${pending.join(", ")}; settle it with npm run resume -- ${stack}`;
  }
  const outputs = all.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
  return outputs["deploymentStatus"] === undefined
    ? `the deployment has never come to its end, so what it has not made yet is not compared; finish it with npm run deploy -- ${stack}`
    : undefined;
}

/** What the stack's state says that there is, and how to reach it. */
import { z } from "zod";

import type { Pulumi } from "../engine/cli.ts";
import { UserError } from "../../common/user-error.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";

const resource = z.object({
  urn: z.string(),
  type: z.string(),
  id: z.string().default(""),
  custom: z.boolean().default(false),
  delete: z.boolean().default(false),
  parent: z.string().optional(),
  provider: z.string().optional(),
  dependencies: z.array(z.string()).nullish(),
  inputs: z.record(z.string(), z.unknown()).default({}),
  outputs: z.record(z.string(), z.unknown()).default({}),
});

const exported = z.object({
  deployment: z.object({
    resources: z.array(resource).default([]),
    pending_operations: z
      .array(z.object({ type: z.string(), resource: z.object({ urn: z.string() }) }))
      .nullish(),
  }),
});

export type StateResource = z.output<typeof resource>;

export interface State {
  /** Things, not components or providers. */
  readonly things: readonly StateResource[];

  /** Things, components and providers. */
  readonly all: readonly StateResource[];

  /** How to log in to the server; undefined before one was ever reached. */
  readonly ssh: StackOutputs["ssh"] | undefined;

  /** Why not everything that should be there is in the state; undefined for a deployment that ended well. */
  readonly incomplete: string | undefined;
}

/** No secret is decrypted. */
export async function readState(stack: string, pulumi: Pulumi): Promise<State> {
  const printed = await pulumi({ args: ["stack", "export", "--stack", stack] });
  const { resources, pending_operations: pending } = exported.parse(JSON.parse(printed)).deployment;
  const things = resources.filter(({ custom, type }) => custom && !type.startsWith("pulumi:"));
  if (things.length === 0) {
    throw new UserError(
      `${stack}: expected a deployed stack, got an empty one; deploy it with npm run deploy -- ${stack}`,
    );
  }
  return {
    things,
    all: resources,
    ssh: sshOf(resources),
    incomplete: incompleteOf(
      stack,
      resources,
      (pending ?? []).map(({ resource: { urn } }) => nameOf(urn)),
    ),
  };
}

export function nameOf(urn: string): string {
  return urn.slice(urn.lastIndexOf("::") + 2);
}

/** Whether the thing is looked at through the server's sshd. */
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
function sshOf(resources: readonly StateResource[]): State["ssh"] {
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
  resources: readonly StateResource[],
  pending: readonly string[],
): string | undefined {
  if (pending.length > 0) {
    return `an earlier run was cut short while it made or changed ${pending.join(", ")}; settle it with npm run resume -- ${stack}`;
  }
  const outputs = resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
  return outputs["deploymentStatus"] === undefined
    ? `the deployment has never come to its end, so what it has not made yet is not compared; finish it with npm run deploy -- ${stack}`
    : undefined;
}

/** The deployed resources as the state lists them, and how to reach the server. */
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Pulumi } from "../engine/cli.ts";
import { homeConnectionIn } from "../engine/deployed-servers.ts";
import { readState, type StateResource } from "../engine/state.ts";
import {
  DECLARATION_TYPE,
  declarationRecord,
  type DeclarationRecord,
} from "../../stacks/declaration-record.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";

export interface DeployedState {
  /** Without components and providers. */
  readonly resources: readonly StateResource[];

  /** With components and providers. */
  readonly all: readonly StateResource[];

  /** How to log in to the server; undefined before one was ever reached. */
  readonly ssh: StackOutputs["ssh"] | undefined;

  /** What the program declared at the last deployment that finished; undefined when a version of it deployed that did not record that. */
  readonly record: DeclarationRecord | undefined;

  /** Why resources are missing in the state; undefined after a successful deployment. */
  readonly incomplete: string | undefined;
}

/** No secret is decrypted. */
export async function readDeployedState(stack: string, pulumi: Pulumi): Promise<DeployedState> {
  const { resources: all, pending } = await readState(stack, pulumi);
  const resources = all.filter(({ custom, type }) => custom === true && !type.startsWith("pulumi:"));
  if (resources.length === 0) {
    throw new UserError(`${stack}: nothing is deployed; deploy it with npm run deploy -- ${stack}`);
  }
  const unfinished = pending.map(({ resource: { urn } }) => nameOf(urn));
  const outputs = all.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
  const declaration = all.find(({ type }) => type === DECLARATION_TYPE);
  const record = declarationRecord.safeParse(declaration?.outputs).data;
  const incomplete =
    unfinished.length > 0
      ? `an earlier run was interrupted while it created or changed ${unfinished.join(", ")}; fix that with npm run resume -- ${stack}`
      : record === undefined && outputs["deploymentStatus"] === undefined
        ? `the deployment never finished, so missing resources are not compared; finish it with npm run deploy -- ${stack}`
        : undefined;
  return { resources, all, ssh: homeConnectionIn(stack, all), record, incomplete };
}

/** Whether the resource is read through the server's sshd. */
export function isOnServer({ type }: Pick<StateResource, "type">): boolean {
  return type.startsWith("technicia:host:") || type.startsWith("docker:");
}

/** What a rotation reaches besides the deployment that it is made of. */
import { systemFetch } from "../../common/system-trust.ts";
import type { RotationName } from "../../secrets/rotations.ts";
import { operating } from "../deploy/commands.ts";
import { deploy } from "../deploy/deploy.ts";
import type { Operator } from "../deploy/session.ts";
import type { Outcome } from "../command.ts";
import { pushWorkflows } from "../workflows/push.ts";
import { readGiven } from "./given.ts";
import { passwordsOf, type RepositoryPasswords } from "./repository-passwords.ts";

export interface RotationWorld {
  readonly operator: Operator;
  readonly deploy: typeof deploy;

  /** Makes n8n's credentials those of the stack's secrets. */
  readonly pushWorkflows: (stack: string) => Promise<Outcome>;

  /** The passwords of the backups' repository. */
  readonly passwords: (stack: string) => Promise<RepositoryPasswords>;

  /** Next values of these, from standard input, the terminal or `--from-file`. */
  readonly readGiven: (names: readonly RotationName[]) => Promise<readonly string[]>;
}

export async function rotating(
  { fromFile }: { readonly fromFile: string | undefined },
  work: (world: RotationWorld) => Promise<Outcome>,
): Promise<Outcome> {
  return await operating((operator) =>
    work({
      operator,
      deploy,
      pushWorkflows: (stack) => pushWorkflows({ stack, yes: true }, operator),
      passwords: (stack) => passwordsOf(stack, { ...operator, fetch: systemFetch, variables: process.env }),
      readGiven: (names) => readGiven(names, { fromFile }),
    }),
  );
}

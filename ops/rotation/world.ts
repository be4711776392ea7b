/** What a rotation reaches besides the deployment that it is made of. */
import { systemFetch } from "../../common/system-trust.ts";
import type { RotationName } from "../../secrets/rotations.ts";
import { operating } from "../deploy/commands.ts";
import { deploy } from "../deploy/deploy.ts";
import type { Operator } from "../deploy/session.ts";
import type { Outcome } from "../command.ts";
import { staleCredentials } from "../workflows/diff.ts";
import { readGiven } from "./given.ts";
import { passwordsOf, type RepositoryPasswords } from "./repository-passwords.ts";

export interface RotationWorld {
  readonly operator: Operator;
  readonly deploy: typeof deploy;

  /** Which of n8n's credentials are not as the stack's secrets, a line each; a deployment has written them. */
  readonly staleCredentials: (stack: string) => Promise<readonly string[]>;

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
      staleCredentials: (stack) => staleCredentials({ stack }, operator),
      passwords: (stack) => passwordsOf(stack, { ...operator, fetch: systemFetch, variables: process.env }),
      readGiven: (names) => readGiven(names, { fromFile }),
    }),
  );
}

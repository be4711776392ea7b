/** What a check of a stack may look at; preflight and verification get the same. */
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Server } from "../server/connection.ts";

export interface CheckContext {
  readonly stack: string;

  /** The settings as they are now, which the deployment is about to make true or has just made so. */
  readonly environment: Environment;

  /** Undefined before the first deployment. */
  readonly outputs: StackOutputs | undefined;

  /** Undefined as long as there is no server to log in to. */
  readonly server: Server | undefined;

  readonly pulumi: Pulumi;

  /** Secret's name in `secrets/catalog.ts` → value, of those that are set; never printed, never on a command line. */
  readonly secrets: Readonly<Record<string, string>>;

  /** Aborted when the deployment is. */
  readonly signal: AbortSignal;
}

export type PreflightContext = CheckContext;
export type VerifyContext = CheckContext;

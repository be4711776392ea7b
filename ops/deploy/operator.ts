/** Everything outside of these commands that a deployment touches, so that a test can take its place. */
import type { PreflightContext, VerifyContext } from "../checks/context.ts";
import type { Check } from "../../common/check.ts";
import type { NewIncident } from "../../reports/incidents/book.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Resumed } from "../engine/resume.ts";
import type { Server } from "../server/connection.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Git } from "../vendors/git.ts";
import type { Plan } from "./update.ts";
import type { Identity } from "../server/identity.ts";

export interface Operator {
  readonly pulumi: Pulumi;
  readonly openServer: (outputs: Pick<StackOutputs, "ssh">) => Server;
  readonly identity: Identity;
  readonly git: Git;
  readonly now: () => Date;

  /** Does something again and again until it is told to stop. */
  readonly every: (seconds: number, action: () => void) => () => void;

  /** Whether a process of this machine still runs. */
  readonly isAlive: (process: number) => boolean;

  /** Tells how far the command has come. */
  readonly say: (line: string) => void;

  /** Asks the person at the keyboard; without one it is a failure that names `--yes`. */
  readonly confirm: (question: string) => Promise<boolean>;

  /** Aborted when the command is told to stop. */
  readonly signal: AbortSignal;

  readonly preflight: (context: PreflightContext) => Promise<readonly Check[]>;
  readonly verify: (context: VerifyContext) => Promise<readonly Check[]>;

  /** Saves a plan in the folder and tells in words what it would change. */
  readonly makePlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan; readonly text: string; readonly failure: string | undefined }>;

  /** A plan that was saved and reviewed, or what is different since, one sentence each. */
  readonly checkPlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan } | { readonly changed: readonly string[] }>;

  /** Settles what a killed run of the engine left pending. */
  readonly resume: (stack: string) => Promise<Resumed>;

  /** Opens an entry in the team's issues document, or notes there that it was seen again. */
  readonly openIncident: (incident: NewIncident) => Promise<{ readonly id: string; readonly isNew: boolean }>;

  /** Text of `Pulumi.<stack>.yaml`. */
  readonly readSettingsFile: (stack: string) => Promise<string>;
  readonly writeSettingsFile: (stack: string, text: string) => Promise<void>;
}

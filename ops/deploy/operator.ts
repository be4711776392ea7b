/** What a deployment touches besides the effects that every command has. */
import type { CheckContext } from "../checks/context.ts";
import type { Check } from "../../common/check.ts";
import type { Effects } from "../effects.ts";
import type { Resumed } from "../engine/resume.ts";
import type { Plan } from "./update.ts";

export interface Operator extends Effects {
  readonly preflight: (context: CheckContext) => Promise<readonly Check[]>;
  readonly verify: (context: CheckContext) => Promise<readonly Check[]>;

  /** Saves a plan in the folder, and describes what it would change. */
  readonly makePlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan; readonly text: string; readonly failure: string | undefined }>;

  /** A plan that was saved and reviewed, or what is different since, one sentence each. */
  readonly checkPlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan } | { readonly changed: readonly string[] }>;

  /** Resolves what a killed run of the engine left pending. */
  readonly resume: (stack: string) => Promise<Resumed>;

  /** Text of `Pulumi.<stack>.yaml`. */
  readonly readSettingsFile: (stack: string) => Promise<string>;
  readonly writeSettingsFile: (stack: string, text: string) => Promise<void>;
}

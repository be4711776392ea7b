/** What a deployment touches besides the effects that every command has. */
import { readFile, writeFile } from "node:fs/promises";

import type { Check } from "../../common/check.ts";
import type { CheckContext } from "../checks/context.ts";
import { preflight } from "../checks/preflight.ts";
import { verify } from "../checks/verify.ts";
import type { Effects } from "../effects.ts";
import { resume, type Resumed } from "../engine/resume.ts";
import { renderPreview } from "../preview/markdown.ts";
import { checkPlan, planFile } from "../preview/plan.ts";
import { readPlanInputs } from "../preview/plan-inputs.ts";
import { previewStack } from "../preview/preview.ts";
import { settingsFile } from "./settings-file.ts";
import type { Plan } from "./update.ts";

export interface Operator extends Effects {
  readonly preflight: (context: CheckContext) => Promise<readonly Check[]>;
  readonly verify: (context: CheckContext) => Promise<readonly Check[]>;

  /** Saves a plan in the folder, and describes what it would change. */
  readonly makePlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan; readonly text: string; readonly failure: string | undefined }>;

  /** A plan that was saved and reviewed, or what has changed since, one sentence each. */
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

export function realOperator(effects: Effects): Operator {
  const { pulumi, git } = effects;
  return {
    ...effects,
    preflight,
    verify,
    resume: (stack) => resume(stack, pulumi),
    async makePlan(stack, folder) {
      const world = { ...effects, environment: process.env };
      const report = await previewStack({ stack, out: folder, refresh: false }, world);
      const plan = { file: planFile(folder), reviewed: false, refreshed: false };
      return { plan, text: renderPreview(report), failure: report.failure };
    },
    async checkPlan(stack, folder) {
      const inputs = await readPlanInputs({ stack, without: folder }, { pulumi, git });
      const checked = await checkPlan(folder, inputs);
      if (!checked.fits) return { changed: checked.changed };
      return { plan: { file: checked.file, reviewed: true, refreshed: checked.manifest.refreshed } };
    },
    readSettingsFile: (stack) => readFile(settingsFile(stack), "utf8"),
    // Written in place: the file may be mounted into a container, where it cannot be replaced.
    writeSettingsFile: (stack, text) => writeFile(settingsFile(stack), text),
  };
}

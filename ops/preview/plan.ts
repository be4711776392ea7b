/** The plan that a preview saves, with the inputs it was made from, so that a deployment can check whether it still applies. */
import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import type { PlanInputs } from "./plan-inputs.ts";

const manifestSchema = z.strictObject({
  format: z.literal(1),
  stack: z.string(),
  revision: z.string(),
  source: z.string(),
  settingsHash: z.string(),
  stateAsOf: z.string(),
  /** Whether the real resources were read first; an update by this plan must do the same. */
  refreshed: z.boolean(),
  /** SHA-256 of the plan's file. */
  planHash: z.string(),
  madeAt: z.iso.datetime(),
});

export type PlanManifest = z.output<typeof manifestSchema>;

export type PlanCheck =
  | { readonly fits: true; readonly file: string; readonly manifest: PlanManifest }
  /** `changed`: one sentence for each difference. */
  | { readonly fits: false; readonly changed: readonly string[]; readonly manifest: PlanManifest };

export function planFile(folder: string): string {
  return join(folder, "plan.json");
}

function manifestFile(folder: string): string {
  return join(folder, "plan.manifest.json");
}

/** Before a preview: if it fails, an older plan would be taken for its own. */
export async function discardPlan(folder: string): Promise<void> {
  await Promise.all([planFile(folder), manifestFile(folder)].map((file) => rm(file, { force: true })));
}

export async function describePlan(
  folder: string,
  inputs: PlanInputs,
  made: { readonly at: Date; readonly refreshed: boolean },
): Promise<PlanManifest> {
  const manifest: PlanManifest = {
    format: 1,
    ...inputs,
    refreshed: made.refreshed,
    planHash: await hashFile(planFile(folder)),
    madeAt: made.at.toISOString(),
  };
  await writeFile(manifestFile(folder), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/** Whether the plan in a folder is still what would be applied now. A plan that is missing or damaged is an error. */
export async function checkPlan(folder: string, now: PlanInputs): Promise<PlanCheck> {
  const manifest = await readManifest(folder, now.stack);
  const file = planFile(folder);
  await requireSamePlan(file, manifest, now.stack);
  const changed = DIFFERENCES.flatMap((compare) => compare(manifest, now));
  return changed.length === 0 ? { fits: true, file, manifest } : { fits: false, changed, manifest };
}

const DIFFERENCES: readonly ((plan: PlanManifest, now: PlanInputs) => string[])[] = [
  (plan, now) => (plan.stack === now.stack ? [] : [`the plan is for stack ${plan.stack}, not ${now.stack}`]),
  (plan, now) =>
    plan.source === now.source
      ? []
      : [`the program's files are others: the plan was made at ${plan.revision}, these are ${now.revision}`],
  (plan, now) =>
    plan.settingsHash === now.settingsHash ? [] : ["the stack's settings are others than the plan's"],
  (plan, now) =>
    plan.stateAsOf === now.stateAsOf
      ? []
      : [
          `the state changed at ${now.stateAsOf || "an unknown time"}, after the plan was made at ${plan.madeAt}`,
        ],
];

async function readManifest(folder: string, stack: string): Promise<PlanManifest> {
  const file = manifestFile(folder);
  const text = await readText(file, stack);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(file, "the description of a plan in JSON", "something else", stack);
  }
  const { data, error } = manifestSchema.safeParse(value);
  if (data) return data;
  const problems = error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`);
  throw damaged(file, "the description of a plan", problems.join("; "), stack);
}

async function requireSamePlan(file: string, { planHash }: PlanManifest, stack: string): Promise<void> {
  const text = await readText(file, stack);
  const hash = createHash("sha256").update(text).digest("hex");
  if (hash !== planHash) throw damaged(file, "the plan that was reviewed", "another or a damaged one", stack);
}

async function hashFile(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

async function readText(file: string, stack: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw damaged(file, "a saved plan", "no such file", stack);
  }
}

function damaged(file: string, expected: string, got: string, stack: string): UserError {
  return new UserError(
    `${file}: expected ${expected}, got ${got}; run npm run preview -- ${stack} --out <folder>`,
  );
}

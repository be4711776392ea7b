/** The plan that a preview saves, with the inputs it was made from, so that a deployment can check whether it still applies. */
import { createHash } from "node:crypto";
import { lstat, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import { parsePrinted, type Pulumi } from "../engine/cli.ts";
import { readConfiguration, type Configuration } from "../engine/settings.ts";
import type { Git } from "../server/identity.ts";

/** Equal inputs give equal plans. */
const planInputs = z.strictObject({
  stack: z.string(),
  /** Commit, with `+` when files differ from it: for people. */
  revision: z.string(),
  /** Digest of the files themselves: the same after a merge that changed nothing. */
  source: z.string(),
  /** SHA-256 of the stack's settings without secrets. */
  settingsHash: z.string(),
  /** When the state last changed; empty before the first deployment. */
  stateAsOf: z.string(),
});

export type PlanInputs = Readonly<z.output<typeof planInputs>>;

const manifestSchema = z.strictObject({
  format: z.literal(1),
  ...planInputs.shape,
  /** Whether the real resources were read first; an update by this plan must do the same. */
  refreshed: z.boolean(),
  /** SHA-256 of the plan's file. */
  planHash: z.string(),
  madeAt: z.iso.datetime(),
});

type PlanManifest = z.output<typeof manifestSchema>;

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
    planHash: createHash("sha256")
      .update(await readFile(planFile(folder)))
      .digest("hex"),
    madeAt: made.at.toISOString(),
  };
  await writeFile(manifestFile(folder), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/** Whether the plan in a folder is still what would be applied now. A plan that is missing or damaged is an error. */
export async function checkPlan(folder: string, now: PlanInputs) {
  const manifest = await readManifest(folder, now.stack);
  const file = planFile(folder);
  const hash = createHash("sha256")
    .update(await readText(file, now.stack))
    .digest("hex");
  if (hash !== manifest.planHash)
    throw damaged(file, "the plan that was reviewed", "another or a damaged one", now.stack);
  const changed = describeChanges(manifest, now);
  return changed.length === 0
    ? { fits: true as const, file, manifest }
    : { fits: false as const, changed, manifest };
}

/** One sentence for each difference. */
function describeChanges(plan: PlanManifest, now: PlanInputs): string[] {
  return [
    plan.stack !== now.stack && `the plan is for stack ${plan.stack}, not ${now.stack}`,
    plan.source !== now.source &&
      `the program's files are others: the plan was made at ${plan.revision}, these are ${now.revision}`,
    plan.settingsHash !== now.settingsHash && "the stack's settings are others than the plan's",
    plan.stateAsOf !== now.stateAsOf &&
      `the state changed at ${now.stateAsOf || "an unknown time"}, after the plan was made at ${plan.madeAt}`,
  ].filter((sentence) => sentence !== false);
}

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

/** Commit and digest of the project's files; `without` is a folder of our own results that does not count. */
export async function readSource(
  git: Git,
  without?: string,
): Promise<Pick<PlanInputs, "revision" | "source">> {
  const place = without === undefined ? "" : relative(process.cwd(), without);
  const isInside = place !== "" && !place.startsWith("..");
  const paths = ["--", ".", ...(isInside ? [`:(exclude)${place}`] : [])];
  const [commit, tree, status] = await Promise.all([
    git(["rev-parse", "HEAD"]),
    git(["rev-parse", "HEAD^{tree}"]),
    git(["status", "--porcelain", "--untracked-files=all", ...paths]),
  ]);
  if (status.trim() === "") return { revision: commit.trim(), source: tree.trim() };
  const changed = await git(["diff", "HEAD", "--binary", ...paths]);
  const untracked = await git(["ls-files", "--others", "--exclude-standard", "-z", ...paths]);
  const hash = createHash("sha256").update(tree).update(changed);
  for (const file of untracked.split("\0").filter((name) => name !== "")) {
    hash.update(`\0${file}\0`).update(await contentOf(file));
  }
  return { revision: `${commit.trim()}+`, source: hash.digest("hex") };
}

async function contentOf(path: string): Promise<Buffer | string> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return await readlink(path);
  // A checkout of something else inside this one is listed as a folder.
  return found.isFile() ? await readFile(path) : "";
}

/** Digest of the settings that are no secrets; which secrets there are counts, their values do not. */
export function hashConfiguration(configuration: Configuration): string {
  const entries = Object.entries(configuration)
    .map(([name, { secret, value }]) => [name, secret ? null : (value ?? "")] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(entries)).digest("hex");
}

const stacks = z.array(z.object({ name: z.string(), lastUpdate: z.string().optional() }));

export async function readStateAsOf(stack: string, pulumi: Pulumi): Promise<string> {
  const printed = await pulumi({ args: ["stack", "ls", "--json"] });
  const listed = parsePrinted("pulumi stack ls --json", printed, stacks);
  const found = listed.find(({ name }) => name === stack || name.endsWith(`/${stack}`));
  return found?.lastUpdate ?? "";
}

export async function readPlanInputs(
  { stack, without }: { readonly stack: string; readonly without?: string },
  { pulumi, git }: { readonly pulumi: Pulumi; readonly git: Git },
): Promise<PlanInputs> {
  const [source, configuration, stateAsOf] = await Promise.all([
    readSource(git, without),
    readConfiguration({ stack, showSecrets: true }, pulumi),
    readStateAsOf(stack, pulumi),
  ]);
  return { stack, ...source, settingsHash: hashConfiguration(configuration), stateAsOf };
}

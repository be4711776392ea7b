/** What a preview depends on: the program's files, the settings, the state. Equal inputs give equal plans. */
import { createHash } from "node:crypto";
import { lstat, readFile, readlink } from "node:fs/promises";
import { relative } from "node:path";

import { z } from "zod";

import { parsePrinted, type Pulumi } from "../engine/cli.ts";
import { readConfiguration, type Configuration } from "../engine/settings.ts";
import type { Git } from "../server/identity.ts";

export interface PlanInputs {
  readonly stack: string;
  /** Commit, with `+` when files differ from it: for people. */
  readonly revision: string;
  /** Digest of the files themselves: the same after a merge that changed nothing. */
  readonly source: string;
  /** SHA-256 of the stack's settings without secrets. */
  readonly settingsHash: string;
  /** When the state last changed; empty before the first deployment. */
  readonly stateAsOf: string;
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

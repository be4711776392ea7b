/** A folder of the workflows that a rollback restores, for the engine: a git repository of one commit. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { must } from "../../common/run.ts";
import { renderWorkflow, type Workflow } from "../../provider/n8n/workflow.ts";
import type { WorkflowSettings } from "../../stacks/workflows-schema.ts";
import { CREDENTIALS } from "../../stacks/workflows/folder.ts";
import type { WorkflowSet } from "./released.ts";

export interface FolderFiles {
  readonly workflows: readonly Workflow[];

  /** Text of `credentials.yaml`. */
  readonly credentials: string;
}

export async function writeFiles({ workflows, credentials }: FolderFiles, path: string): Promise<void> {
  for (const workflow of workflows)
    await writeFile(join(path, `${workflow.id}.json`), await renderWorkflow(workflow));
  await writeFile(join(path, CREDENTIALS), credentials);
}

/** The repository's name has the digest: a check of drift builds it again, because no other command has this one any more. */
const NAME = "restored-workflows-";

/** Settings that name a git repository with these workflows, which is made in the folder. */
export async function restoredSettings(
  settings: WorkflowSettings,
  {
    set,
    credentials,
    folder,
  }: { readonly set: WorkflowSet; readonly credentials: string; readonly folder: string },
): Promise<WorkflowSettings> {
  const path = join(folder, `${NAME}${set.digest}`);
  await mkdir(path);
  await writeFiles({ workflows: set.workflows, credentials }, path);
  // Whatever the person's own settings of git say: no hook, signature or name of theirs.
  const ours = ["user.name=TechnicIA", "user.email=technicia@localhost", "commit.gpgSign=false"];
  const options = [...ours, "core.hooksPath=/dev/null", "core.autocrlf=false"].flatMap((one) => ["-c", one]);
  const git = (...args: string[]) => must(["git", ...options, ...args], { cwd: path });
  await git("init", "--quiet", "--template=", "--object-format=sha1");
  await git("add", "--force", ".");
  await git("commit", "--quiet", "--message", `Workflows ${set.digest.slice(0, 12)}`);
  const commit = (await git("rev-parse", "HEAD")).trim();
  return { ...settings, source: { repository: pathToFileURL(path).href, commit }, folder: "." };
}

/** Digest of the workflows in a repository that a rollback made; undefined for any other. */
export function restoredDigest(settings: unknown): string | undefined {
  const { repository } = (settings as Partial<WorkflowSettings> | undefined)?.source ?? {};
  return repository === undefined ? undefined : new RegExp(`/${NAME}([0-9a-f]{64})$`).exec(repository)?.[1];
}

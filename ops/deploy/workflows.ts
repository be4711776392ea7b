/** The workflows of a release that is restored: a folder of them for the engine, or why those of today stay. */
import type { Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { WorkflowSettings } from "../../stacks/workflows-schema.ts";
import { readContent } from "../../stacks/workflows/folder.ts";
import { renderProblems } from "../../stacks/workflows/problem.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { inOneLine, keepSet, readKeptSet, type WorkflowSet } from "../workflows/released.ts";
import { restoredSettings, writeFiles, type FolderFiles } from "../workflows/restored.ts";
import type { Session } from "./session.ts";

/** What a rollback does with n8n's workflows. */
export interface WorkflowsBack {
  /**
   * `same`: the folder has those of the release. `restored`: they come back. `stay`: n8n keeps what it has now, which the folder has.
   * `left`: n8n keeps what it has now, and the engine leaves it alone.
   */
  readonly how: "same" | "restored" | "stay" | "left";

  /** What n8n has afterwards; undefined where that is not known. */
  readonly set: WorkflowSet | undefined;

  /** Text of `credentials.yaml` that goes with restored ones. */
  readonly credentials: string;

  /** Why the workflows of the release do not come back; no line where they do. */
  readonly kept: readonly string[];
}

/** A rollback never fails because of workflows: where those of the release cannot be used, others stay. */
export async function planWorkflows(session: Session, target: Release): Promise<WorkflowsBack> {
  const { environment } = session;
  const stay = (why: string) => `the workflows stay as they are, not as in release ${target.number}: ${why}`;
  if (!environment.workflows.enabled) {
    const kept = target.workflows === undefined ? [] : [stay("technicia:workflows.enabled is false")];
    return { how: "left", set: undefined, credentials: "", kept };
  }
  const today = await session.folderSet;
  if (today.set !== undefined && today.set.digest === target.workflows)
    return { how: "same", set: today.set, credentials: "", kept: [] };
  // The engine checks them for the versions that come back, too.
  const then = { ...environment, images: { ...environment.images, ...target.images } };
  try {
    const set = await readOldSet(session, target);
    if (today.credentials === undefined) throw new UserError(today.problem ?? "");
    const { credentials } = today;
    await requireFit({ ...set, credentials }, { environment: then, folder: `release ${target.number}` });
    return { how: "restored", set, credentials, kept: [] };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const kept = [stay(inOneLine(error.message))];
    const fits = today.set !== undefined && (await doFit(today.set, { today, environment: then }));
    if (fits) return { how: "stay", set: today.set, credentials: "", kept };
    return { how: "left", set: undefined, credentials: "", kept };
  }
}

async function readOldSet({ server }: Session, { workflows, number }: Release): Promise<WorkflowSet> {
  if (workflows === undefined || server === undefined)
    throw new UserError(`the record of release ${number} names none`);
  return await readKeptSet(server, workflows);
}

async function doFit(
  { workflows }: WorkflowSet,
  {
    today,
    environment,
  }: { readonly today: { readonly credentials?: string }; readonly environment: Environment },
): Promise<boolean> {
  try {
    await requireFit(
      { workflows, credentials: today.credentials ?? "" },
      { environment, folder: environment.workflows.folder },
    );
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return false;
  }
}

/** @throws UserError with every problem that the engine's program would find */
async function requireFit(
  files: FolderFiles,
  { environment, folder }: { readonly environment: Environment; readonly folder: string },
): Promise<void> {
  await inPrivateFolder(async (path) => {
    await writeFiles(files, path);
    const { problems } = await readContent({ path, folder }, environment);
    if (problems.length > 0) throw new UserError(renderProblems(problems));
  });
}

/** What `technicia:workflows` is for the engine; undefined: as in the settings. `folder`: a private one, as long as the engine runs. */
export async function settingsOfRestored(
  { how, set, credentials }: WorkflowsBack,
  { environment: { workflows }, folder }: { readonly environment: Environment; readonly folder: string },
): Promise<WorkflowSettings | undefined> {
  if (how === "left" && workflows.enabled) return { ...workflows, enabled: false };
  if (how !== "restored" || set === undefined) return undefined;
  return await restoredSettings(workflows, { set, credentials, folder });
}

/** Keeps on the server what a release has; gives the digest for its record. */
export async function recordWorkflows(
  { server, operator }: Pick<Session, "server" | "operator">,
  set: WorkflowSet | undefined,
): Promise<{ readonly workflows?: string }> {
  if (set === undefined || server === undefined) return {};
  await keepSet(server, set, operator.say);
  return { workflows: set.digest };
}

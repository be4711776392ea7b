/** The workflows of a release: the digest that its record has, and their content, which the server keeps under that digest. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import { normalise, workflow, type Workflow } from "../../provider/n8n/workflow.ts";
import { CREDENTIALS, inFolder, readContent, type FolderRequest } from "../../stacks/workflows/folder.ts";
import { renderProblems } from "../../stacks/workflows/problem.ts";
import type { Server } from "../server/connection.ts";

const FOLDER = `${RECORDS_FOLDER}/workflows`;

const READ = `
[ ! -e "$FOLDER/$NAME" ] || cat "$FOLDER/$NAME"`;

// Its name says what is in it, so one that is there is only replaced by the same, or if it is damaged.
const WRITE = `
umask 027
install -d -m 0750 "$RECORDS_FOLDER" "$FOLDER"
cd "$FOLDER"
written=$(mktemp .new.XXXXXXXX)
trap 'rm --force "$written"' EXIT
cat > "$written"
chmod 0640 "$written"
sync "$written"
mv --force "$written" "$NAME"
sync .`;

/** Workflows, and what tells them from others. */
export interface WorkflowSet {
  /** SHA-256 of their text. */
  readonly digest: string;

  /** The normalised workflows by id, as JSON in one line; no secret is in a workflow. */
  readonly text: string;
  readonly workflows: readonly Workflow[];
}

export function setOf(given: readonly Workflow[]): WorkflowSet {
  const workflows = given.map(normalise).sort((a, b) => (a.id < b.id ? -1 : 1));
  const text = `${JSON.stringify(workflows)}\n`;
  return { digest: createHash("sha256").update(text).digest("hex"), text, workflows };
}

/** What the folder has that the settings name. */
export interface FolderSet {
  /** Undefined where something is wrong with them, or n8n is left alone. */
  readonly set?: WorkflowSet;

  /** Text of `credentials.yaml`; undefined where the folder cannot be read. */
  readonly credentials?: string;

  /** Why there is no set, in one line. */
  readonly problem?: string;
}

/** Never fails because of the folder. */
export async function readFolderSet(request: FolderRequest): Promise<FolderSet> {
  const { environment } = request;
  if (!environment.workflows.enabled) return {};
  try {
    return await inFolder(request, async ({ path, folder }) => {
      const { files, problems } = await readContent({ path, folder }, environment);
      const credentials = await readFile(join(path, CREDENTIALS), "utf8").catch(() => "");
      if (problems.length > 0) return { credentials, problem: inOneLine(renderProblems(problems)) };
      return { credentials, set: setOf(files.map((file) => file.workflow)) };
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { problem: inOneLine(error.message) };
  }
}

export function inOneLine(text: string): string {
  return text.split("\n").join("; ");
}

/** Keeps the content for a rollback. What goes wrong is said, and changes nothing about the release. */
export async function keepSet(
  server: Pick<Server, "run">,
  { digest, text }: WorkflowSet,
  say: (line: string) => void,
): Promise<void> {
  try {
    await server.run({
      purpose: `write ${FOLDER}/${digest}.json`,
      script: WRITE,
      variables: { RECORDS_FOLDER, FOLDER, NAME: `${digest}.json` },
      stdin: text,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the workflows are not kept for a rollback: ${error.message}`);
  }
}

/** @throws UserError where the server does not have them as they were written */
export async function readKeptSet(server: Pick<Server, "run">, digest: string): Promise<WorkflowSet> {
  const { stdout } = await server.run({
    purpose: `read ${FOLDER}/${digest}.json`,
    script: READ,
    variables: { FOLDER, NAME: `${digest}.json` },
  });
  const path = `${FOLDER}/${digest}.json`;
  if (stdout === "") throw new UserError(`${path} is not on the server`);
  const read = z.array(workflow).safeParse(parseJson(stdout));
  const set = read.success ? setOf(read.data) : undefined;
  if (set?.digest !== digest) throw new UserError(`${path} is not as it was written`);
  return set;
}

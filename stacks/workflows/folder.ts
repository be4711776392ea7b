/** The folder of workflows: this project's own, or that of a repository at a commit. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { parse, YAMLParseError } from "yaml";

import { copyGitFolder } from "../../common/git-folder.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../environment.ts";
import { checkWorkflows } from "./check.ts";
import { parseCredentials, type Credential } from "./credential.ts";
import { knownNodesOf, type KnownNodes } from "./known-nodes.ts";
import type { Problem } from "./problem.ts";
import type { WorkflowFile } from "./rules/rule.ts";
import { withoutExported, workflow } from "../../provider/n8n/workflow.ts";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));

export const CREDENTIALS = "credentials.yaml";

const SETTINGS = {
  repository: "technicia:workflows.source.repository",
  commit: "technicia:workflows.source.commit",
  folder: "technicia:workflows.folder",
};

export interface Content {
  /** Path of the folder, for people. */
  readonly folder: string;
  readonly files: readonly WorkflowFile[];
  readonly credentials: readonly Credential[];

  /** Everything that is wrong with them. */
  readonly problems: readonly Problem[];
}

export interface FolderRequest {
  readonly environment: Pick<
    Environment,
    "name" | "services" | "monitoring" | "documents" | "images" | "workflows"
  >;

  /** Folder of the project. @default this one */
  readonly project?: string | undefined;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Does the work with the place of the folder on this machine; a copy of a repository's is deleted afterwards. */
export async function inFolder<T>(
  { environment, project = PROJECT, signal, say }: FolderRequest,
  work: (place: { readonly path: string; readonly folder: string; readonly isOurs: boolean }) => Promise<T>,
): Promise<T> {
  const { folder, source } = environment.workflows;
  if (source === undefined) return await work({ path: join(project, folder), folder, isOurs: true });
  const temporary = await mkdtemp(join(tmpdir(), "technicia-workflows-"));
  const [clone, path] = [join(temporary, "clone"), join(temporary, "folder")];
  try {
    await copyGitFolder({ ...source, folder }, { clone, into: path, settings: SETTINGS, signal, say });
    return await work({ path, folder: `${folder} of ${source.commit.slice(0, 12)}`, isOurs: false });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Reads and checks a folder. Files in folders inside it count as well; n8n's own folders are unknown to its public API. */
export async function readContent(
  { path, folder }: { readonly path: string; readonly folder: string },
  environment: FolderRequest["environment"],
): Promise<Content> {
  const problems: Problem[] = [];
  const pinned = await knownNodesOf(environment.images.n8n);
  const known: KnownNodes | undefined = "nodes" in pinned ? pinned : undefined;
  if (!("nodes" in pinned)) problems.push(pinned);
  const names = await listFiles(path, folder);
  const files: WorkflowFile[] = [];
  for (const name of names.filter((one) => one.endsWith(".json"))) {
    const read = readWorkflow(`${folder}/${name}`, await readFile(join(path, name), "utf8"));
    if ("workflow" in read) files.push(read);
    else problems.push(...read.problems);
  }
  const file = `${folder}/${CREDENTIALS}`;
  const text = names.includes(CREDENTIALS) ? await readFile(join(path, CREDENTIALS), "utf8") : "";
  const yaml = readYaml(file, text);
  const read =
    "problem" in yaml
      ? { credentials: [], problems: [yaml.problem] }
      : parseCredentials(yaml.content, { file, stack: environment.name, known });
  const { credentials } = read;
  problems.push(...read.problems);
  // Of credentials that cannot be read nobody knows which ones are declared.
  const found = checkWorkflows({ folder, files, credentials, environment, known });
  const isUnread = read.problems.length > 0 && credentials.length === 0;
  problems.push(...found.filter((problem) => !isUnread || !problem.path.includes(".credentials.")));
  return { folder, files, credentials, problems };
}

async function listFiles(path: string, folder: string): Promise<string[]> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder)
    throw new UserError(
      `technicia:workflows.folder: expected a folder with workflows, got ${folder}, which does not exist; check its name`,
    );
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.replace(/\/$/, "").length + 1))
    .sort();
}

function readWorkflow(file: string, text: string): WorkflowFile | { readonly problems: readonly Problem[] } {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    const problem = `expected JSON, got something else (${(error as Error).message.split("\n")[0]}); export the workflow again, or correct the text`;
    return { problems: [{ path: file, text: problem }] };
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    return {
      problems: [
        {
          path: file,
          text: "expected one workflow, got something else; give each workflow a file of its own",
        },
      ],
    };
  const parsed = workflow.safeParse(withoutExported(content as Record<string, unknown>));
  if (!parsed.success)
    return {
      problems: parsed.error.issues.map(({ path, message, code, ...issue }) => ({
        path: path.length === 0 ? file : `${file}: ${path.map(String).join(".")}`,
        text:
          code === "unrecognized_keys"
            ? `expected keys that n8n's public API takes, got ${(issue as { keys: string[] }).keys.join(", ")}; remove them`
            : `${message.startsWith("expected") ? message : `expected another value (${message})`}; export the workflow again, or correct it`,
      })),
    };
  const { id } = parsed.data;
  if (file.endsWith(`/${id}.json`)) return { file, workflow: parsed.data };
  return {
    problems: [
      {
        path: `${file}: id`,
        text: `expected the name of the file, got ${JSON.stringify(id)}; rename the file to ${id}.json`,
      },
    ],
  };
}

function readYaml(file: string, text: string): { readonly content: unknown } | { readonly problem: Problem } {
  try {
    return { content: parse(text, { prettyErrors: false }) };
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    // Its own text shows the line, which may have a value in clear.
    const problem = `expected YAML, got something else (${error.code}); correct the text`;
    return { problem: { path: file, text: problem } };
  }
}

/** A git repository with many published workflows: ours, and copies of the one of questions under ids and paths of their own. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { run } from "../../common/run.ts";
import { ROOT } from "../addresses.ts";

export const PREFIX = "technicia-bench-";

const QUESTION = "technicia-question.json";

interface Copied {
  id: string;
  name: string;
  nodes: {
    type: string;
    webhookId?: string;
    parameters: { path?: string; jsCode?: string };
  }[];
}

export interface Repository extends AsyncDisposable {
  /** `file://…` */
  readonly address: string;

  /** Changes every copy; gives the commit. */
  commit(note: string): Promise<string>;
}

export async function makeRepository(copies: number): Promise<Repository> {
  const path = await mkdtemp(join(tmpdir(), "technicia-bench-"));
  const options = ["user.name=TechnicIA", "user.email=technicia@localhost", "commit.gpgSign=false"];
  const git = (...args: string[]) =>
    run(["git", ...options.flatMap((one) => ["-c", one]), ...args], { cwd: path });
  await cp(join(ROOT, "workflows"), join(path, "workflows"), { recursive: true });
  await git("init", "--quiet", "--template=");
  const question = await readFile(join(path, "workflows", QUESTION), "utf8");
  return {
    address: pathToFileURL(path).href,
    async commit(note) {
      for (let number = 1; number <= copies; number++) {
        const copied = copyOf(JSON.parse(question) as Copied, { number, note });
        await writeFile(
          join(path, "workflows", `${copied.id}.json`),
          `${JSON.stringify(copied, undefined, 2)}\n`,
        );
      }
      await git("add", ".");
      await git("commit", "--quiet", "--message", note);
      return (await git("rev-parse", "HEAD")).trim();
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export function copyOf(
  question: Copied,
  { number, note }: { readonly number: number; readonly note: string },
): Copied {
  const id = `${PREFIX}${number}`;
  const nodes = question.nodes.map((node) => {
    const { jsCode, path } = node.parameters;
    return {
      ...node,
      ...(node.webhookId !== undefined && { webhookId: id }),
      parameters: {
        ...node.parameters,
        ...(path !== undefined && { path: `bench-${number}` }),
        ...(jsCode !== undefined && { jsCode: `// ${note}\n${jsCode}` }),
      },
    };
  });
  return { ...question, id, name: `Banc ${number}`, nodes };
}

/** What the engine's CLI is told to have a stack use that repository at that commit: both in one write, as one is nothing without the other. */
export function sourceWords(source: { readonly repository: string; readonly commit: string }): string[] {
  const values = Object.entries(source).flatMap(([key, value]) => [
    "--plaintext",
    `technicia:workflows.source.${key}=${value}`,
  ]);
  return ["config", "set-all", "--path", ...values];
}

/** Bash for the server: deletes the copies in n8n, as nothing of ours deletes workflows. */
export const DELETE_COPIES = `
call() {
  curl --silent --show-error --fail --noproxy '*' --user-agent Mozilla/5.0 --header @/var/lib/technicia/n8n/api-key \\
    "http://127.0.0.1:5678/api/v1$1" "\${@:2}"
}
for id in $(call '/workflows?limit=250' | jq --raw-output '.data[].id | select(startswith("${PREFIX}"))'); do
  call "/workflows/$id" --request DELETE >/dev/null
done`;

/** A folder of one commit of a git repository, as a build of an image gets it. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

import { lastWords, must, tryRun } from "../../common/run.ts";
import type { BuiltService } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";

export type Source = NonNullable<Environment["builds"]["sources"][BuiltService]>;

interface FetchRequest {
  /** Where clones and copies go. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Copies the folder of the commit, and nothing else, and gives the place of the copy. */
export async function fetchSource(
  { service, source }: { readonly service: BuiltService; readonly source: Source },
  { folder, signal, say }: FetchRequest,
): Promise<string> {
  const { repository, commit, folder: inside } = source;
  const setting = `images.sources.${service}`;
  const clone = join(
    folder,
    "sources",
    Buffer.from(`${commit} ${repository}`).toString("base64url").slice(0, 200),
  );
  const context = join(folder, "contexts", service);
  await mkdir(clone, { recursive: true });
  await mkdir(context, { recursive: true });
  // A question for a password would wait for ever, unseen.
  const options = { cwd: clone, signal, environment: { GIT_TERMINAL_PROMPT: "0" } };
  const git = (...args: string[]) => tryRun(["git", ...args], options);
  const has = async (object: string) => (await git("cat-file", "-e", object)).code === 0;
  await git("init", "--quiet");
  if (!(await has(`${commit}^{commit}`))) {
    say(`fetching ${commit.slice(0, 12)} of ${repository}`);
    const one = await git("fetch", "--quiet", "--depth", "1", "--", repository, commit);
    // Some servers give away branches and tags only.
    const branches = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    const got = one.code === 0 ? one : await git("fetch", "--quiet", "--", repository, ...branches);
    signal.throwIfAborted();
    if (got.code !== 0)
      throw new UserError(
        `${setting}.repository: git cannot read ${repository}: ${lastWords(got)}; check its address and your access`,
      );
  }
  if (!(await has(`${commit}^{commit}`)))
    throw new UserError(
      `${setting}.commit: expected a commit of ${repository}, got ${commit}, which it does not have; push it there, or name another`,
    );
  const tree = inside === "." ? `${commit}^{tree}` : `${commit}:${inside}`;
  if ((await git("cat-file", "-t", tree)).stdout.trim() !== "tree")
    throw new UserError(
      `${setting}.folder: expected a folder of commit ${commit.slice(0, 12)}, got ${inside}, which it does not have; check its name`,
    );
  const archive = join(folder, `${service}.tar`);
  await must(["git", "archive", "--format=tar", "--output", archive, tree], options);
  await must(["tar", "-xf", archive, "-C", context], { signal });
  if (!(await readdir(context)).includes("Dockerfile"))
    throw new UserError(
      `${setting}.folder: expected a folder with a Dockerfile, got ${inside} without one; name another`,
    );
  return context;
}

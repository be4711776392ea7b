/** A folder of one commit of a git repository, without its history. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { lastWords, must, tryRun } from "./run.ts";
import { UserError } from "./user-error.ts";

export interface GitFolder {
  /** Address of the repository, as git takes it. */
  readonly repository: string;

  /** 40 hexadecimal digits. */
  readonly commit: string;

  /** Folder in the repository; `.` is all of it. */
  readonly folder: string;
}

interface CopyRequest {
  /** Where the repository is kept meanwhile; one that has the commit is not asked again. */
  readonly clone: string;

  /** Where the files go. */
  readonly into: string;

  /** Name of the setting that each part comes from, for errors. */
  readonly settings: Readonly<Record<keyof GitFolder, string>>;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Copies the folder of the commit, and nothing else.
 *
 * @throws UserError where the repository, the commit or the folder is not there
 */
export async function copyGitFolder(
  { repository, commit, folder }: GitFolder,
  { clone, into, settings, signal, say }: CopyRequest,
): Promise<void> {
  await mkdir(clone, { recursive: true });
  await mkdir(into, { recursive: true });
  // A question for a password would wait for ever, unseen.
  const options = { cwd: clone, signal, environment: { GIT_TERMINAL_PROMPT: "0" } };
  const git = (...args: string[]) => tryRun(["git", ...args], options);
  const has = async (object: string) => (await git("cat-file", "-e", object)).code === 0;
  // Without files of its own: git fetches into no branch that is checked out.
  await git("init", "--quiet", "--bare");
  if (!(await has(`${commit}^{commit}`))) {
    say(`fetching ${commit.slice(0, 12)} of ${repository}`);
    const one = await git("fetch", "--quiet", "--depth", "1", "--", repository, commit);
    // Some servers give away branches and tags only.
    const branches = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    const got = one.code === 0 ? one : await git("fetch", "--quiet", "--", repository, ...branches);
    signal.throwIfAborted();
    if (got.code !== 0)
      throw new UserError(
        `${settings.repository}: git cannot read ${repository}: ${lastWords(got)}; check its address and your access`,
      );
  }
  if (!(await has(`${commit}^{commit}`)))
    throw new UserError(
      `${settings.commit}: expected a commit of ${repository}, got ${commit}, which it does not have; push it there, or name another`,
    );
  const tree = folder === "." ? `${commit}^{tree}` : `${commit}:${folder}`;
  if ((await git("cat-file", "-t", tree)).stdout.trim() !== "tree")
    throw new UserError(
      `${settings.folder}: expected a folder of commit ${commit.slice(0, 12)}, got ${folder}, which it does not have; check its name`,
    );
  const archive = join(clone, "folder.tar");
  await must(["git", "archive", "--format=tar", "--output", archive, tree], options);
  await must(["tar", "-xf", archive, "-C", into], { signal });
}

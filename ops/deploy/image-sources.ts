/** A folder of one commit of a git repository, as a build of an image gets it. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { copyGitFolder } from "../../common/git-folder.ts";
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
  const settings = {
    repository: `${setting}.repository`,
    commit: `${setting}.commit`,
    folder: `${setting}.folder`,
  };
  await copyGitFolder(source, { clone, into: context, settings, signal, say });
  if (!(await readdir(context)).includes("Dockerfile"))
    throw new UserError(
      `${settings.folder}: expected a folder with a Dockerfile, got ${inside} without one; name another`,
    );
  return context;
}

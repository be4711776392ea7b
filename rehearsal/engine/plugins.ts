import { mkdir, readdir, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import launcher from "pulumi/package.json" with { type: "json" };

/** A program that the engine starts. */
export interface Part {
  readonly kind: "language" | "resource";
  readonly name: string;

  /** Version under which the engine looks for it. */
  readonly version: string;

  /** The executable. */
  readonly file: string;
}

/**
 * Makes `home` a Pulumi home whose plugin cache holds exactly `parts`, as links, and where `npx pulumi` finds the CLI.
 *
 * The plugin cache rather than PATH, because the engine warns about every plugin that it takes from PATH.
 */
export async function furnishHome(
  home: string,
  { pulumi, parts }: { readonly pulumi: string; readonly parts: readonly Part[] },
): Promise<void> {
  const plugins = join(home, "plugins");
  const wanted = new Map(parts.map((part) => [`${part.kind}-${part.name}-v${part.version}`, part]));

  await mkdir(plugins, { recursive: true });
  for (const name of await readdir(plugins)) {
    if (!wanted.has(name)) {
      await rm(join(plugins, name), { recursive: true, force: true });
    }
  }

  for (const [name, part] of wanted) {
    await link(join(plugins, name, `pulumi-${part.kind}-${part.name}`), part.file);
  }
  // The npm launcher runs what is installed there, and downloads only what is not.
  await link(join(home, "versions", launcher.version, "bin", "pulumi"), pulumi);
}

async function link(path: string, target: string): Promise<void> {
  // Created under another name and renamed, because another run may be starting this program.
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await mkdir(dirname(path), { recursive: true });
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  await rename(fresh, path);
}

import { mkdir, readdir, rename, rm, symlink } from "node:fs/promises";
import { basename, join } from "node:path";

import type { Part } from "./parts.ts";

/**
 * Makes `home` a Pulumi home whose plugin cache holds exactly `parts`, as links.
 *
 * The plugin cache rather than PATH, because the engine warns about every plugin that it takes from PATH.
 */
export async function furnishHome(home: string, parts: readonly Part[]): Promise<void> {
  const plugins = join(home, "plugins");
  const wanted = new Map(parts.map((part) => [`${part.kind}-${part.name}-v${part.version}`, part]));

  await mkdir(plugins, { recursive: true });
  for (const name of await readdir(plugins)) {
    if (!wanted.has(name)) {
      await rm(join(plugins, name), { recursive: true, force: true });
    }
  }

  for (const [name, part] of wanted) {
    const folder = join(plugins, name);
    const link = join(folder, `pulumi-${part.kind}-${part.name}`);
    // Made aside and renamed: another run may be starting this very plugin.
    const fresh = join(folder, `.${basename(link)}.${process.pid}`);

    await mkdir(folder, { recursive: true });
    await rm(fresh, { force: true });
    await symlink(part.file, fresh);
    await rename(fresh, link);
  }
}

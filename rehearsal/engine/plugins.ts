import { mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

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

/** Which plugin serves which of the program's packages. */
export interface PluginNeed {
  readonly name: string;
  readonly version: string;

  /** Where to download the official one, when that is not Pulumi's own place. */
  readonly server?: string;
}

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const SDKS = ["@pulumi/command", "@pulumi/docker", "@pulumi/cloudflare", "@ovhcloud/pulumi-ovh"];

/** The plugins that the program's SDKs ask for. The engine takes a plugin of exactly the SDK's version. */
export function readPluginNeeds(): Promise<PluginNeed[]> {
  return Promise.all(
    SDKS.map(async (sdk) => {
      const manifest = JSON.parse(await readFile(`${CHECKOUT}node_modules/${sdk}/package.json`, "utf8")) as {
        pulumi: PluginNeed;
      };
      const { name, version, server } = manifest.pulumi;
      return server === undefined ? { name, version } : { name, version, server };
    }),
  );
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

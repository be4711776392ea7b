import { join, resolve } from "node:path";

import type { PluginNeed } from "../../common/plugin-needs.ts";
import type { Part } from "./plugins.ts";
import { UserError } from "../../common/user-error.ts";
import { isExecutable, askProgram } from "./programs.ts";

/** An engine that the user brought along. */
export interface FolderEngine {
  readonly pulumi: string;
  readonly pulumiVersion: string;
  readonly parts: readonly Part[];
}

/** Takes every part of the engine from `folder`, and nothing from anywhere else. */
export async function readFolderEngine(folder: string, needs: readonly PluginNeed[]): Promise<FolderEngine> {
  const root = resolve(folder);
  const pulumi = join(root, "pulumi");
  const language = join(root, "pulumi-language-nodejs");
  const plugins = needs.map(({ name, version }): Part => {
    return { kind: "resource", name, version, file: join(root, `pulumi-resource-${name}`) };
  });

  const files = [pulumi, language, ...plugins.map((plugin) => plugin.file)];
  const present = await Promise.all(files.map(isExecutable));
  const missing = files.filter((_file, at) => present[at] !== true);
  if (missing.length > 0) {
    throw new UserError(
      `REHEARSAL_ENGINE: expected executables of all parts in ${root}, got none at:\n` +
        missing.map((file) => `  ${file}`).join("\n"),
    );
  }

  const { ok, stdout, reason } = await askProgram([pulumi, "version"], { seconds: 20 });
  if (!ok) {
    throw new UserError(`REHEARSAL_ENGINE: expected "${pulumi} version" to answer, got "${reason}"`);
  }
  const pulumiVersion = stdout.trim();

  return {
    pulumi,
    pulumiVersion,
    parts: [
      { kind: "language", name: "nodejs", version: pulumiVersion.replace(/^v/, ""), file: language },
      ...plugins,
    ],
  };
}

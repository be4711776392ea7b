/** The cache of npm's own launcher of the Pulumi CLI, filled with a script in place of the CLI. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where `npm ci` puts the launcher, for PATH. */
export const BIN = fileURLToPath(new URL("../../../node_modules/.bin", import.meta.url));

export const { version: LAUNCHER_VERSION } = createRequire(import.meta.url)("pulumi/package.json") as {
  version: string;
};

/** `script`: what the CLI does, in the language of sh. */
export async function fillCache(
  pulumiHome: string,
  script: string,
  version = LAUNCHER_VERSION,
): Promise<void> {
  const bin = join(pulumiHome, "versions", version, "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "pulumi"), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, "pulumi"), 0o755);
}

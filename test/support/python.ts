import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { cacheFolder } from "../../common/cache-folder.ts";
import { run } from "../../common/run.ts";

const IMAGE = join(import.meta.dirname, "../../rehearsal/images/python");

/** What the Python images have in common, for a program outside of a container. */
export interface Python {
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Installs the packages that the Python images have into a folder of its own, once. */
export async function ensurePython(): Promise<Python> {
  const requirements = join(IMAGE, "requirements.txt");
  const hash = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const folder = join(cacheFolder(), "python", hash);
  const program = join(folder, "bin/python3");
  const ready = join(folder, "ready");
  if (!existsSync(ready)) {
    await rm(folder, { recursive: true, force: true });
    await run(["python3", "-m", "venv", folder]);
    const pip = [program, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"];
    await run([...pip, requirements]);
    await writeFile(ready, "");
  }
  return { program, environment: { PYTHONPATH: IMAGE, PYTHONDONTWRITEBYTECODE: "1" } };
}

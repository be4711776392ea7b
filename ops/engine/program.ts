/** Where the Pulumi CLI is. */
import { access, constants, readFile, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { z } from "zod";

import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

export interface Program {
  readonly path: string;

  /** Added to this process's own variables. */
  readonly environment: Readonly<Record<string, string>>;
}

type Variables = Readonly<Record<string, string | undefined>>;

const launcher = z.object({ name: z.literal("pulumi"), version: z.string() });

/**
 * The `pulumi` that PATH finds. Where that is npm's launcher, the CLI that it starts: the launcher passes no signal on and ends at the first
 * one, so the engine would run on unseen, and how it ended would not be known. The launcher still installs the CLI.
 */
export async function findPulumi(variables: Variables): Promise<Program> {
  const found = await onPath("pulumi", variables["PATH"]);
  if (found === undefined) {
    throw new UserError(
      "pulumi: the Pulumi CLI is not on PATH; install it (https://www.pulumi.com/docs/install/) or run npm install",
    );
  }
  const version = await launcherVersion(found);
  if (version === undefined) return { path: found, environment: {} };

  const home = variables["PULUMI_HOME"] || join(homedir(), ".pulumi");
  const folder = join(home, "versions", variables["PULUMI_VERSION"] || version, "bin");
  const path = join(folder, "pulumi");
  if (!(await isExecutable(path))) await install(found, path);
  // Its language hosts are beside it.
  return { path, environment: { PATH: `${folder}${delimiter}${variables["PATH"] ?? ""}` } };
}

async function install(launcherPath: string, path: string): Promise<void> {
  const { code, stdout, stderr } = await tryRun([launcherPath, "version"]);
  if (code === 0 && (await isExecutable(path))) return;
  const printed = `${stdout}\n${stderr}`.trim().split("\n").slice(-5).join("\n");
  throw new UserError(
    `pulumi: npm's launcher did not install the Pulumi CLI as ${path} (exit code ${code}); ` +
      `run npx pulumi version and fix what it names, or install the CLI yourself (https://www.pulumi.com/docs/install/)\n${printed}`,
  );
}

async function onPath(name: string, path = ""): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const file = join(folder || ".", name);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

/** The version that npm's launcher starts; undefined for every other program. */
async function launcherVersion(file: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(dirname(await realpath(file)), "package.json"), "utf8");
    return launcher.safeParse(JSON.parse(text)).data?.version;
  } catch {
    // No file, or no JSON: no package of npm's.
    return undefined;
  }
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

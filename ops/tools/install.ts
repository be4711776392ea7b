/** Downloads a tool, compares its SHA-256 with the lock, and puts it where it is looked for. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

import { cacheFolder } from "../../common/cache-folder.ts";
import { run } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { urlOf, type Lock, type Tool } from "./tools.ts";

export type Variables = Readonly<Record<string, string | undefined>>;

interface Unpacking {
  readonly archive: string;
  /** Folder of the CLI, which installs the plugins. */
  readonly cli: string;
  readonly variables: Variables;
}

export interface InstallEffects {
  readonly fetch: typeof fetch;
  readonly variables: Variables;
}

/** Installs every tool, or none: a missing or different checksum is found before anything is unpacked. */
export async function installTools(
  tools: readonly Tool[],
  lock: Lock,
  { fetch, variables }: InstallEffects,
): Promise<void> {
  const unknown = tools.filter(({ archive }) => lock[archive] === undefined);
  if (unknown.length > 0) {
    const problems = unknown.map(
      ({ archive }) => `tools.lock.json: expected the SHA-256 of ${archive}, got none`,
    );
    const remedy = "npm run tools -- lock writes it; look at the difference, have it reviewed, and commit it";
    throw new UserError(`${problems.join("\n")}\n${remedy}`);
  }
  const folder = await mkdtemp(join(tmpdir(), "technicia-tools-"));
  try {
    for (const tool of tools) await download(tool, { folder, fetch, expected: lock[tool.archive] ?? "" });
    const cli = cliFolder(tools.find(({ kind }) => kind === "cli")?.version ?? "", variables);
    for (const tool of tools) await unpack(tool, { archive: join(folder, tool.archive), cli, variables });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The archive's bytes. */
export async function fetchArchive(tool: Tool, fetch: InstallEffects["fetch"]): Promise<Buffer> {
  const url = urlOf(tool);
  const answer = await fetch(url).catch((error: unknown) => {
    throw new UserError(
      `${url}: no answer (${(error as Error).message}); check that this machine can reach it`,
    );
  });
  if (!answer.ok)
    throw new UserError(`${url}: expected an archive, got status ${answer.status}; try again later`);
  return Buffer.from(await answer.arrayBuffer());
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

async function download(
  tool: Tool,
  request: { readonly folder: string; readonly fetch: typeof fetch; readonly expected: string },
): Promise<void> {
  const content = await fetchArchive(tool, request.fetch);
  const found = sha256(content);
  if (found !== request.expected) {
    throw new UserError(
      `${urlOf(tool)}: expected SHA-256 ${request.expected} (tools.lock.json), got ${found}; ` +
        "somebody replaced this file: use nothing of it, and ask its makers",
    );
  }
  await writeFile(join(request.folder, tool.archive), content);
}

/** Where npm's launcher looks for the CLI of this version when `PULUMI_VERSION` names it. */
export function cliFolder(version: string, variables: Variables): string {
  const home = variables["PULUMI_HOME"] || join(variables["HOME"] || homedir(), ".pulumi");
  return join(home, "versions", version, "bin");
}

export function scannerFolder(version: string, variables: Variables): string {
  return join(cacheFolder(variables), "tools", `grype-${version}`);
}

async function unpack(tool: Tool, { archive, cli, variables }: Unpacking): Promise<void> {
  if (tool.kind === "plugin") {
    const plugin = ["resource", tool.name, tool.version, "--file", archive, "--reinstall"];
    const environment = { ...variables, PULUMI_SKIP_UPDATE_CHECK: "true" };
    await run([join(cli, "pulumi"), "plugin", "install", ...plugin], { environment });
    return;
  }
  const target = tool.kind === "cli" ? cli : scannerFolder(tool.version, variables);
  const fresh = `${target}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  // The CLI's archive has everything in a folder.
  const strip = tool.kind === "cli" ? ["--strip-components=1"] : [];
  await run(["tar", "-xzf", archive, "-C", fresh, ...strip]);
  await rm(target, { recursive: true, force: true });
  await rename(fresh, target);
}

/** The programs from outside npm that a CI runs: Pulumi's CLI and plugins, and the scanner. Each is an archive of a release at GitHub. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { z } from "zod";

import { readPluginNeeds, readSdkVersion, type PluginNeed } from "../../common/plugin-needs.ts";
import { UserError } from "../../common/user-error.ts";

/** A newer one needs its SHA-256 in the lock: `npm run tools -- lock`. */
const SCANNER_VERSION = "0.116.1";

export interface Platform {
  readonly os: string;
  readonly arch: string;
}

export interface Tool {
  readonly kind: "cli" | "plugin" | "scanner";
  readonly name: string;
  readonly version: string;
  /** `owner/name` at GitHub. */
  readonly repository: string;
  /** File name of its archive. */
  readonly archive: string;
}

/** Archive → SHA-256. */
export type Lock = Readonly<Record<string, string>>;

export const LOCK_FILE = fileURLToPath(new URL("../../tools.lock.json", import.meta.url));

/** Where the CI and the team's machines run. */
export const PLATFORMS: readonly Platform[] = [
  { os: "linux", arch: "x64" },
  { os: "linux", arch: "arm64" },
  { os: "darwin", arch: "arm64" },
];

export function urlOf({ repository, version, archive }: Tool): string {
  return `https://github.com/${repository}/releases/download/v${version}/${archive}`;
}

/** The CLI at the SDK's version, and the plugins at theirs. */
export async function pulumiTools(platform: Platform): Promise<Tool[]> {
  const version = await readSdkVersion();
  const cli: Tool = {
    kind: "cli",
    name: "pulumi",
    version,
    repository: "pulumi/pulumi",
    archive: `pulumi-v${version}-${platform.os}-${platform.arch}.tar.gz`,
  };
  return [cli, ...(await readPluginNeeds()).map((need) => pluginTool(need, platform))];
}

function pluginTool({ name, version, server }: PluginNeed, platform: Platform): Tool {
  return {
    kind: "plugin",
    name,
    version,
    // A server of another maker's is written github://api.github.com/<owner>/<name>.
    repository: server?.split("/").slice(-2).join("/") ?? `pulumi/pulumi-${name}`,
    archive: `pulumi-resource-${name}-v${version}-${platform.os}-${goArchitecture(platform)}.tar.gz`,
  };
}

export function scannerTool(platform: Platform): Tool {
  return {
    kind: "scanner",
    name: "grype",
    version: SCANNER_VERSION,
    repository: "anchore/grype",
    archive: `grype_${SCANNER_VERSION}_${platform.os}_${goArchitecture(platform)}.tar.gz`,
  };
}

function goArchitecture({ arch }: Platform): string {
  return arch === "x64" ? "amd64" : arch;
}

const lock = z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/));

export async function readLock(file: string = LOCK_FILE): Promise<Lock> {
  const { data } = lock.safeParse(JSON.parse(await readFile(file, "utf8")));
  if (data) return data;
  throw new UserError(
    `${file}: expected archives with their SHA-256, got something else; write it with npm run tools -- lock`,
  );
}

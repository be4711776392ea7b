import { join, delimiter } from "node:path";

import type { PluginNeed } from "../../common/plugin-needs.ts";
import type { Part } from "./plugins.ts";
import { isExecutable, NPM_PROGRAMS, askProgram } from "./programs.ts";

// Older ones lack what the program's SDK or Pulumi.yaml asks for; it is the version that we build ourselves.
const OLDEST_CLI = [3, 224, 0];
const INSTALL_SECONDS = 300;
const REFUSAL_SECONDS = 3;

/** What to look for and where. */
export interface OfficialOptions {
  /** Folder that survives between runs. */
  readonly cache: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly needs: readonly PluginNeed[];

  /** The npm launcher downloads this first. If it cannot be reached, neither can the rest. */
  readonly installer: string;
  readonly progress: (text: string) => void;
}

/** The CLI and the plugins as their makers publish them. */
export interface OfficialEngine {
  readonly pulumi: string;
  readonly pulumiVersion: string;
  readonly origin: "on PATH" | "by the npm launcher";
  readonly plugins: readonly Part[];
}

interface Cli {
  readonly pulumi: string;
  readonly version: string;
  readonly origin: OfficialEngine["origin"];
}

/** The official engine if it is on this machine already; nothing is downloaded. */
export async function findOfficialEngine(options: OfficialOptions): Promise<OfficialEngine | undefined> {
  const cli = (await findCliOnPath(options.environment)) ?? (await findLaunchedCli(options));
  const plugins = await findPlugins(options);

  return cli === undefined || plugins.length < options.needs.length ? undefined : describe(cli, plugins);
}

/** Downloads what is missing of the official engine; gives the reason, in words, when it cannot be had. */
export async function fetchOfficialEngine(options: OfficialOptions): Promise<OfficialEngine | string> {
  const refusal = await readRefusal(options.installer);
  if (refusal !== undefined) {
    return `its downloads cannot be reached (${refusal})`;
  }

  const cli = (await findCliOnPath(options.environment)) ?? (await launchCli(options));
  if (typeof cli === "string") {
    return cli;
  }

  const present = new Set((await findPlugins(options)).map((plugin) => plugin.name));
  for (const need of options.needs.filter(({ name }) => !present.has(name))) {
    options.progress(`downloading the official ${need.name} plugin ${need.version}`);
    const server = need.server === undefined ? [] : ["--server", need.server];
    const { ok, reason } = await askProgram(
      [cli.pulumi, "plugin", "install", "resource", need.name, need.version, ...server],
      { seconds: INSTALL_SECONDS, environment: ownHome(options) },
    );
    if (!ok) {
      return `its ${need.name} plugin ${need.version} cannot be had (${reason})`;
    }
  }

  const plugins = await findPlugins(options);
  return plugins.length < options.needs.length
    ? "its plugins are not where it installs them"
    : describe(cli, plugins);
}

function describe(cli: Cli, plugins: readonly Part[]): OfficialEngine {
  return { pulumi: cli.pulumi, pulumiVersion: cli.version, origin: cli.origin, plugins };
}

async function findCliOnPath(environment: NodeJS.ProcessEnv): Promise<Cli | undefined> {
  for (const folder of (environment.PATH ?? "").split(delimiter)) {
    const pulumi = join(folder, "pulumi");
    // npm puts its launcher there, which would download.
    if (folder === "" || folder.endsWith("node_modules/.bin") || !(await isExecutable(pulumi))) {
      continue;
    }
    const version = await readVersion(pulumi, environment);
    const hasLanguageHost = await isExecutable(join(folder, "pulumi-language-nodejs"));
    if (version !== undefined && hasLanguageHost) {
      return { pulumi, version, origin: "on PATH" };
    }
  }
  return undefined;
}

async function findLaunchedCli(options: OfficialOptions): Promise<Cli | undefined> {
  const { default: launcher } = (await import("pulumi/package.json", { with: { type: "json" } })) as {
    default: { version: string };
  };
  const pulumi = join(ownHome(options).PULUMI_HOME, "versions", launcher.version, "bin", "pulumi");
  const version = (await isExecutable(pulumi)) ? await readVersion(pulumi, options.environment) : undefined;

  return version === undefined ? undefined : { pulumi, version, origin: "by the npm launcher" };
}

async function launchCli(options: OfficialOptions): Promise<Cli | string> {
  options.progress("downloading the official pulumi CLI");
  const { reason } = await askProgram([join(NPM_PROGRAMS, "pulumi"), "version"], {
    seconds: INSTALL_SECONDS,
    environment: ownHome(options),
  });

  return (await findLaunchedCli(options)) ?? `its CLI cannot be had (${reason})`;
}

async function findPlugins(options: OfficialOptions): Promise<Part[]> {
  const { HOME = "", PULUMI_HOME = join(HOME, ".pulumi") } = options.environment;
  const found: Part[] = [];

  for (const { name, version } of options.needs) {
    for (const home of [PULUMI_HOME, ownHome(options).PULUMI_HOME]) {
      const file = join(home, "plugins", `resource-${name}-v${version}`, `pulumi-resource-${name}`);
      if (await isExecutable(file)) {
        found.push({ kind: "resource", name, version, file });
        break;
      }
    }
  }
  return found;
}

async function readVersion(pulumi: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { ok, stdout } = await askProgram([pulumi, "version"], {
    seconds: 20,
    environment: { ...environment, PULUMI_SKIP_UPDATE_CHECK: "true" },
  });
  const version = stdout.trim();
  const numbers = version.replace(/^v/, "").split(/[.-]/).slice(0, 3).map(Number);
  const order = OLDEST_CLI.map((oldest, at) => (numbers[at] ?? -1) - oldest).find(
    (difference) => difference !== 0,
  );

  return ok && numbers.length === 3 && (order ?? 0) >= 0 ? version : undefined;
}

// The user did not ask for plugins in their own home, so nothing is installed there.
function ownHome(options: OfficialOptions): NodeJS.ProcessEnv & { PULUMI_HOME: string } {
  return {
    ...options.environment,
    PULUMI_HOME: join(options.cache, "official"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}

async function readRefusal(address: string): Promise<string | undefined> {
  try {
    const response = await fetch(address, {
      method: "HEAD",
      signal: AbortSignal.timeout(REFUSAL_SECONDS * 1000),
    });
    return response.ok ? undefined : `${response.status} ${response.statusText}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error && cause.message !== "" ? cause.message : message;
  }
}

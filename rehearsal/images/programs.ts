/** Programs inside images that nobody but their makers packages: built from Go modules on this machine. */
import { join } from "node:path";

import { cacheFolder } from "../../common/cache-folder.ts";
import {
  type BuildOptions,
  buildGoSet,
  findGoSet,
  type GoSet,
  hashGoSet,
  pinnedVersion,
} from "../go-programs.ts";

const METRICS = "github.com/VictoriaMetrics/VictoriaMetrics";
const LOGS = "github.com/VictoriaMetrics/VictoriaLogs";
const MAILPIT = "github.com/axllent/mailpit";

interface Source {
  /** Folder with go.mod and go.sum, next to this file. */
  readonly folder: string;

  /** Module whose version is the program's. */
  readonly module: string;
  readonly package: string;

  /** What `--version` prints, as the makers' own builds set it: a variable and its value, without the version itself. */
  readonly stamp: string;
}

const VICTORIA_VERSION = `${METRICS}/lib/buildinfo.Version`;

const SOURCES = {
  "victoria-metrics": {
    folder: "monitoring/victoria-metrics/source",
    module: METRICS,
    package: `${METRICS}/app/victoria-metrics`,
    stamp: `${VICTORIA_VERSION}=victoria-metrics-`,
  },
  // In the same repository as the store, which it is released with.
  vmalert: {
    folder: "monitoring/victoria-metrics/source",
    module: METRICS,
    package: `${METRICS}/app/vmalert`,
    stamp: `${VICTORIA_VERSION}=vmalert-`,
  },
  "victoria-logs": {
    folder: "monitoring/victoria-logs/source",
    module: LOGS,
    package: `${LOGS}/app/victoria-logs`,
    stamp: `${VICTORIA_VERSION}=victoria-logs-`,
  },
  mailpit: {
    folder: "mailpit/source",
    module: MAILPIT,
    package: MAILPIT,
    stamp: `${MAILPIT}/config.Version=`,
  },
} as const satisfies Readonly<Record<string, Source>>;

export type ProgramName = keyof typeof SOURCES;
export const PROGRAM_NAMES = Object.keys(SOURCES) as readonly ProgramName[];

export function isProgramName(name: string): name is ProgramName {
  return Object.hasOwn(SOURCES, name);
}

/** Where the programs are kept. */
function programsCache(environment: NodeJS.ProcessEnv): string {
  return join(cacheFolder(environment), "monitoring");
}

/** Version of a program as its go.mod pins it: `v1.151.0`. */
export async function programVersion(name: ProgramName): Promise<string> {
  const { folder, module } = SOURCES[name];
  const version = await pinnedVersion(join(import.meta.dirname, folder), module);
  if (version === undefined)
    throw new Error(`rehearsal/images/${folder}/go.mod names no version of ${module}`);
  return version;
}

/** What decides a program's content; known without building it. */
export async function programKey(name: ProgramName): Promise<string> {
  return hashGoSet(await renderSet(name));
}

/** Path of a program; builds it if no earlier run has. */
export async function buildProgram(
  name: ProgramName,
  options: Pick<BuildOptions, "progress" | "signal"> & Partial<Pick<BuildOptions, "environment">>,
): Promise<string> {
  const { environment = process.env } = options;
  const cache = programsCache(environment);
  const set = await renderSet(name);
  const folder = (await findGoSet(set, cache)) ?? (await buildGoSet(set, { ...options, cache, environment }));
  return join(folder, name);
}

async function renderSet(name: ProgramName): Promise<GoSet> {
  const { folder, package: path, stamp } = SOURCES[name];
  const version = await programVersion(name);
  const flags = ["-ldflags", `-s -w -X ${stamp}${version}`];
  const program = {
    ...{ file: name, module: folder, package: path, flags },
    announcement: `building ${name} ${version} from Go modules (a minute, once)`,
  };
  return {
    name,
    root: `${import.meta.dirname}/`,
    programs: [program],
    seed: JSON.stringify([name, path, flags]),
    // What serves visitors does not wait for it.
    isPatient: true,
  };
}

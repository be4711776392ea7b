import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type BuildOptions, buildGoSet, findGoSet, type GoSet, pinnedVersion } from "../go-programs.ts";

const SOURCES = fileURLToPath(new URL(".", import.meta.url));
const CLI = "github.com/pulumi/pulumi/pkg/v3";

/** What was built: two programs in one folder. */
export interface BuiltEngine {
  readonly pulumi: string;
  readonly pulumiVersion: string;
  readonly dockerPlugin: string;
}

/** The engine that an earlier run built from the same sources, if any. */
export async function findBuiltEngine(cache: string): Promise<BuiltEngine | undefined> {
  const pulumiVersion = await readPulumiVersion();
  const folder = await findGoSet(renderSet(pulumiVersion), cache);
  return folder === undefined ? undefined : describe(folder, pulumiVersion);
}

/** Builds the CLI and the docker plugin from Go modules; concurrent runs build once. */
export async function buildEngine(options: BuildOptions): Promise<BuiltEngine> {
  const pulumiVersion = await readPulumiVersion();
  return describe(await buildGoSet(renderSet(pulumiVersion), options), pulumiVersion);
}

function renderSet(pulumiVersion: string): GoSet {
  const version = `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${pulumiVersion}`;
  return {
    name: "engine",
    root: SOURCES,
    insteadOfGo: "name a folder with a ready engine in REHEARSAL_ENGINE",
    programs: [
      {
        file: "pulumi",
        module: "cli",
        package: `${CLI}/cmd/pulumi`,
        flags: ["-ldflags", `-s -w ${version}`],
        announcement: `building the pulumi CLI ${pulumiVersion} from Go modules (1 of 2; several minutes, once)`,
      },
      {
        file: "pulumi-resource-docker",
        module: "docker",
        flags: ["-tags", "no_compose", "-ldflags", "-s -w"],
        announcement: "building the docker plugin from Go modules (2 of 2; several minutes, once)",
      },
    ],
  };
}

async function readPulumiVersion(): Promise<string> {
  const version = await pinnedVersion(join(SOURCES, "cli"), CLI);
  if (version === undefined) {
    throw new Error(`rehearsal/engine/cli/go.mod names no version of ${CLI}`);
  }
  return version;
}

function describe(folder: string, pulumiVersion: string): BuiltEngine {
  return {
    pulumi: join(folder, "pulumi"),
    pulumiVersion,
    dockerPlugin: join(folder, "pulumi-resource-docker"),
  };
}

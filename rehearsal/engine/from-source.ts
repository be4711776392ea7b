import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { isExecutable, askProgram } from "./programs.ts";

const SOURCES = fileURLToPath(new URL(".", import.meta.url));
const MAX_BUILD_CACHE_BYTES = 2 * 1024 ** 3;

/** What was built: two programs in one folder. */
export interface BuiltEngine {
  readonly pulumi: string;
  readonly pulumiVersion: string;
  readonly dockerPlugin: string;
}

/** Where to build, and how to report progress. */
export interface BuildOptions {
  /** Folder that survives between runs. */
  readonly cache: string;

  /** Variables of the caller: where Go is found, and how it reaches its modules. */
  readonly environment: NodeJS.ProcessEnv;
  readonly progress: (text: string) => void;
}

/** The engine that an earlier run built from the same sources, if any. */
export async function findBuiltEngine(cache: string): Promise<BuiltEngine | undefined> {
  const engine = await describe(join(cache, await hashSources()));
  return (await isExecutable(engine.pulumi)) && (await isExecutable(engine.dockerPlugin))
    ? engine
    : undefined;
}

/** Builds the CLI and the docker plugin from Go modules; concurrent runs build once. */
export async function buildEngine(options: BuildOptions): Promise<BuiltEngine> {
  await requireGo(options.environment);
  await mkdir(options.cache, { recursive: true });

  const release = await lock(join(options.cache, "build.lock"), () => {
    options.progress("another run is building the engine; waiting for it");
  });
  try {
    return (await findBuiltEngine(options.cache)) ?? (await build(options));
  } finally {
    release();
  }
}

async function build({ cache, environment, progress }: BuildOptions): Promise<BuiltEngine> {
  const goCache = join(cache, "go-build");
  await removeLeftovers(cache);
  const scratch = await mkdtemp(join(cache, "partial-"));

  try {
    const { pulumiVersion } = await describe(scratch);
    const version = `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${pulumiVersion}`;

    progress(`building the pulumi CLI ${pulumiVersion} from Go modules (1 of 2; several minutes, once)`);
    await compile({
      folder: join(SOURCES, "cli"),
      goCache,
      environment,
      args: [
        "-ldflags",
        `-s -w ${version}`,
        "-o",
        join(scratch, "pulumi"),
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      ],
    });

    progress("building the docker plugin from Go modules (2 of 2; several minutes, once)");
    await compile({
      folder: join(SOURCES, "docker"),
      goCache,
      environment,
      args: ["-tags", "no_compose", "-ldflags", "-s -w", "-o", join(scratch, "pulumi-resource-docker"), "."],
    });

    const folder = join(cache, await hashSources());
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
    await trim(goCache);
    return await describe(folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Compilation {
  readonly folder: string;
  readonly goCache: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly args: readonly string[];
}

async function compile(task: Compilation): Promise<void> {
  // The user's GOFLAGS may not suit these modules (a vendor folder, another -mod).
  const environment = {
    ...task.environment,
    GOFLAGS: "",
    GOCACHE: task.goCache,
    CGO_ENABLED: "0",
    GOWORK: "off",
  };
  // Nobody debugs these; what a debugger would read takes a tenth of the time.
  const command = ["build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", ...task.args];
  const go = await tryRun(["go", ...command], { cwd: task.folder, environment });
  if (go.code !== 0) {
    const lines = go.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("go: downloading"));
    throw new UserError(
      `engine: expected "go build" in ${task.folder} to succeed, got exit code ${go.code}; ` +
        `the next run goes on where this one ended\n${lines.slice(-20).join("\n")}`,
    );
  }
}

async function requireGo(environment: NodeJS.ProcessEnv): Promise<void> {
  for (const part of ["cli", "docker"]) {
    const folder = join(SOURCES, part);
    const asked = /^go (\S+)/m.exec(await readFile(join(folder, "go.mod"), "utf8"))?.[1] ?? "";
    // The cheapest command that fails when go is too old for the module.
    const { ok, reason } = await askProgram(["go", "list", "-m"], {
      seconds: 300,
      cwd: folder,
      environment: { ...environment, GOFLAGS: "", GOWORK: "off" },
    });

    if (!ok) {
      throw new UserError(
        `engine: expected Go ${asked} or later on PATH to build the engine from source, got "${reason}"; ` +
          "install it from https://go.dev/dl/ (unpack it into /usr/local and put /usr/local/go/bin on PATH), " +
          "or name a folder with a ready engine in REHEARSAL_ENGINE",
      );
    }
  }
}

/** Holds a lock that the kernel releases when this process ends, however it ends. */
async function lock(file: string, onWait: () => void): Promise<() => void> {
  // The shell prints that it has the lock, and keeps it until its input ends. That happens when this process ends.
  const start = (...flags: string[]): ChildProcess =>
    spawn("flock", [...flags, file, "sh", "-c", "echo locked; cat"], { stdio: ["pipe", "pipe", "inherit"] });
  const isHeld = async (holder: ChildProcess): Promise<boolean> => {
    const [answer] = (await Promise.race([once(holder, "exit"), once(holder.stdout!, "data")])) as unknown[];
    return Buffer.isBuffer(answer);
  };

  let holder = start("--nonblock");
  if (!(await isHeld(holder))) {
    onWait();
    holder = start();
    if (!(await isHeld(holder))) {
      throw new Error(`engine: flock could not lock ${file}`);
    }
  }

  return () => {
    holder.stdin?.end();
  };
}

async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (name.startsWith("partial-")) {
      await rm(join(cache, name), { recursive: true, force: true });
    }
  }
}

async function trim(goCache: string): Promise<void> {
  let bytes = 0;
  for (const entry of await readdir(goCache, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      bytes += (await stat(join(entry.parentPath, entry.name))).size;
    }
  }
  if (bytes > MAX_BUILD_CACHE_BYTES) {
    await rm(goCache, { recursive: true, force: true });
  }
}

async function describe(folder: string): Promise<BuiltEngine> {
  const version = /github\.com\/pulumi\/pulumi\/pkg\/v3 (v\S+)/.exec(
    await readFile(join(SOURCES, "cli", "go.mod"), "utf8"),
  )?.[1];
  if (version === undefined) {
    throw new Error("rehearsal/engine/cli/go.mod names no version of github.com/pulumi/pulumi/pkg/v3");
  }

  return {
    pulumi: join(folder, "pulumi"),
    pulumiVersion: version,
    dockerPlugin: join(folder, "pulumi-resource-docker"),
  };
}

async function hashSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const part of ["cli", "docker"]) {
    const entries = await readdir(join(SOURCES, part), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const file of files.sort()) {
      hash
        .update(`${file.slice(SOURCES.length)}\0`)
        .update(await readFile(file))
        .update("\0");
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** Builds programs from Go modules that the checkout pins: once on a machine, whatever starts at the same time. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

import { tryRun } from "../common/run.ts";
import { UserError } from "../common/user-error.ts";
import { askProgram, isExecutable } from "./engine/programs.ts";

const MAX_BUILD_CACHE_BYTES = 2 * 1024 ** 3;

/** One program of a set. */
export interface GoProgram {
  /** Name of its file. */
  readonly file: string;

  /** Folder of its module, below the set's `root`. */
  readonly module: string;

  /** Package that is built. @default `.` */
  readonly package?: string;

  /** Further arguments of `go build`. */
  readonly flags: readonly string[];

  /** What is said when its build begins. */
  readonly announcement: string;
}

/** Programs that are built together and found together afterwards. */
export interface GoSet {
  /** How messages name it: "engine". */
  readonly name: string;

  /** Folder above those of the modules. */
  readonly root: string;
  readonly programs: readonly GoProgram[];

  /** What else than the modules' files decides what is built. @default nothing */
  readonly seed?: string;

  /** Whether everything else that this machine does goes first. @default false */
  readonly isPatient?: boolean;

  /** What helps where there is no Go, besides installing it. */
  readonly insteadOfGo?: string;
}

/** Where to build, and how to report progress. */
export interface BuildOptions {
  /** Folder that survives between runs. */
  readonly cache: string;

  /** Variables of the caller: where Go is found, and how it reaches its modules. */
  readonly environment: NodeJS.ProcessEnv;
  readonly progress: (text: string) => void;

  /** Ends the build when it is aborted. */
  readonly signal?: AbortSignal;
}

/** The folder of the programs that an earlier run built from the same sources, if any. */
export async function findGoSet(set: GoSet, cache: string): Promise<string | undefined> {
  const folder = join(cache, await hashGoSet(set));
  const built = await Promise.all(set.programs.map(({ file }) => isExecutable(join(folder, file))));
  return built.every(Boolean) ? folder : undefined;
}

/** Builds what no earlier run has built; concurrent runs build once. Returns the folder of the programs. */
export async function buildGoSet(set: GoSet, options: BuildOptions): Promise<string> {
  await requireGo(set, options.environment);
  await mkdir(options.cache, { recursive: true });

  const release = await lock(join(options.cache, "build.lock"), () => {
    options.progress(`another run is building the ${set.name}; waiting for it`);
  });
  try {
    return (await findGoSet(set, options.cache)) ?? (await build(set, options));
  } finally {
    release();
  }
}

/** Sixteen digits that change with the sources. */
export async function hashGoSet({ root, programs, seed = "" }: GoSet): Promise<string> {
  const hash = createHash("sha256").update(seed);
  for (const module of modulesOf(programs)) {
    const entries = await readdir(join(root, module), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const file of files.sort()) {
      hash
        .update(`${file.slice(root.length)}\0`)
        .update(await readFile(file))
        .update("\0");
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** The version in which a module's go.mod requires another one; undefined where it does not. */
export async function pinnedVersion(folder: string, module: string): Promise<string | undefined> {
  const lines = (await readFile(join(folder, "go.mod"), "utf8")).split("\n");
  const [, version] = lines.map((line) => line.trim().split(" ")).find(([name]) => name === module) ?? [];
  return version;
}

async function build(set: GoSet, { cache, environment, progress, signal }: BuildOptions): Promise<string> {
  const goCache = join(cache, "go-build");
  await removeLeftovers(cache);
  const scratch = await mkdtemp(join(cache, "partial-"));

  try {
    for (const program of set.programs) {
      progress(program.announcement);
      await compile(set, program, { scratch, goCache, environment, signal });
    }
    const folder = join(cache, await hashGoSet(set));
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
    await trim(goCache);
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Place {
  readonly scratch: string;
  readonly goCache: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
}

async function compile(set: GoSet, program: GoProgram, place: Place): Promise<void> {
  // The user's GOFLAGS may not suit these modules (a vendor folder, another -mod).
  const environment = {
    ...place.environment,
    GOFLAGS: "",
    GOCACHE: place.goCache,
    CGO_ENABLED: "0",
    GOWORK: "off",
  };
  const folder = join(set.root, program.module);
  const command = [
    ...(set.isPatient === true ? ["nice", "-n", "19"] : []),
    // Nobody debugs these; what a debugger would read takes a tenth of the time.
    ...["go", "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", ...program.flags],
    ...["-o", join(place.scratch, program.file), program.package ?? "."],
  ];
  const { signal } = place;
  const go = await tryRun(command, { cwd: folder, environment, ...(signal && { signal }) });
  if (go.code !== 0) {
    const lines = go.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("go: downloading"));
    throw new UserError(
      `${set.name}: expected "go build" in ${folder} to succeed, got exit code ${go.code}; ` +
        `the next run goes on where this one ended\n${lines.slice(-20).join("\n")}`,
    );
  }
}

async function requireGo(set: GoSet, environment: NodeJS.ProcessEnv): Promise<void> {
  for (const module of modulesOf(set.programs)) {
    const folder = join(set.root, module);
    const asked = /^go (\S+)/m.exec(await readFile(join(folder, "go.mod"), "utf8"))?.[1] ?? "";
    // The cheapest command that fails when go is too old for the module.
    const { ok, reason } = await askProgram(["go", "list", "-m"], {
      seconds: 300,
      cwd: folder,
      environment: { ...environment, GOFLAGS: "", GOWORK: "off" },
    });

    if (!ok) {
      const otherwise = set.insteadOfGo === undefined ? "" : `, or ${set.insteadOfGo}`;
      throw new UserError(
        `${set.name}: expected Go ${asked} or later on PATH to build the ${set.name} from source, got "${reason}"; ` +
          `install it from https://go.dev/dl/ (unpack it into /usr/local and put /usr/local/go/bin on PATH)${otherwise}`,
      );
    }
  }
}

function modulesOf(programs: readonly GoProgram[]): string[] {
  return [...new Set(programs.map(({ module }) => module))];
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
      throw new Error(`flock could not lock ${file}`);
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

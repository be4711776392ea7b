import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { buildGoSet, findGoSet, type GoSet, hashGoSet, pinnedVersion } from "../../rehearsal/go-programs.ts";
import { PROGRAM_NAMES, programKey } from "../../rehearsal/images/programs.ts";
import { until } from "../support/until.ts";

let root: string;
let set: GoSet;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "technicia-go-"));
  await mkdir(join(root, "sources/one"), { recursive: true });
  await writeFile(
    join(root, "sources/one/go.mod"),
    "module one\n\ngo 1.26\n\nrequire (\n\texample.org/two v1.2.3 // indirect\n\texample.org/two/sub v9.9.9\n)\n",
  );
  set = {
    name: "store",
    root: join(root, "sources/"),
    programs: [{ file: "store", module: "one", package: "example.org/two", flags: [], announcement: "…" }],
  };
});
afterEach(() => rm(root, { recursive: true }));

describe("the key of a program", () => {
  it("changes with a file's content, a file's name and what else decides", async () => {
    const before = await hashGoSet(set);
    const seeded = await hashGoSet({ ...set, seed: "flags" });
    await writeFile(join(root, "sources/one/go.sum"), "");
    const named = await hashGoSet(set);
    await writeFile(join(root, "sources/one/go.sum"), "example.org/two v1.2.3 h1:x=\n");
    const pinned = await hashGoSet(set);

    expect(new Set([before, seeded, named, pinned]).size).toBe(4);
    expect(await hashGoSet(set)).toBe(pinned);
  });

  it("is the same in another checkout", async () => {
    const before = await hashGoSet(set);
    await mkdir(join(root, "elsewhere"));
    await writeFile(join(root, "elsewhere/.keep"), "");
    const moved = join(root, "elsewhere/sources/");
    await mkdir(join(moved, "one"), { recursive: true });
    await writeFile(join(moved, "one/go.mod"), await readFile(join(root, "sources/one/go.mod")));

    expect(await hashGoSet({ ...set, root: moved })).toBe(before);
  });

  it("differs for two programs of the same module", async () => {
    const keys = await Promise.all(PROGRAM_NAMES.map(programKey));

    expect(new Set(keys).size).toBe(PROGRAM_NAMES.length);
  });
});

describe("pinnedVersion", () => {
  it("reads the version of a module, and of no other whose name begins alike", async () => {
    const folder = join(root, "sources/one");

    expect(await pinnedVersion(folder, "example.org/two")).toBe("v1.2.3");
    expect(await pinnedVersion(folder, "example.org")).toBeUndefined();
  });
});

describe("buildGoSet", () => {
  /** A fake of go; a real build takes minutes. */
  const writeGo = async (build: string): Promise<void> => {
    await mkdir(join(root, "bin"), { recursive: true });
    await writeFile(join(root, "bin/go"), `#!/bin/sh\n[ "$1" = list ] && exit 0\n${build}\n`);
    await chmod(join(root, "bin/go"), 0o755);
  };
  const start = (changes: Partial<GoSet> = {}, signal?: AbortSignal): Promise<string> =>
    buildGoSet(
      { ...set, ...changes },
      {
        cache: join(root, "cache"),
        environment: { PATH: `${join(root, "bin")}:/usr/bin:/bin`, HOME: root },
        progress: () => undefined,
        ...(signal && { signal }),
      },
    );
  const OUTPUT = `while [ "$1" != -o ]; do shift; done
    mkdir -p "$GOCACHE"; printf "#!/bin/sh\\n" > "$2"; chmod 755 "$2"`;

  it("builds behind everything else on the machine what is not urgent", async () => {
    await writeGo(`nice > ${root}/niceness; ${OUTPUT}`);
    await start();
    const usual = Number(await readFile(join(root, "niceness"), "utf8"));

    await start({ isPatient: true, seed: "again" });

    expect(Number(await readFile(join(root, "niceness"), "utf8"))).toBe(Math.min(19, usual + 19));
  });

  it("finds what it built, until a source changes", async () => {
    await writeGo(OUTPUT);
    const folder = await start();

    expect(await findGoSet(set, join(root, "cache"))).toBe(folder);
    await writeFile(join(root, "sources/one/go.sum"), "changed");
    expect(await findGoSet(set, join(root, "cache"))).toBeUndefined();
  });

  it("ends when it is stopped, and leaves nothing half-built", async () => {
    await writeGo(`touch ${root}/begun; exec sleep 600`);
    const stopping = new AbortController();
    const building = start({}, stopping.signal);
    const begun = until("the build begins", async () => (await readdir(root)).includes("begun"));

    await Promise.race([begun, building]);
    stopping.abort();

    await expect(building).rejects.toThrow(/^store: expected "go build" in .* the next run goes on/);
    expect(await readdir(join(root, "cache"))).toEqual(["build.lock"]);
  });

  it("names the version of Go that is asked for where there is none", async () => {
    await writeFile(join(root, "sources/one/go.mod"), "module one\n\ngo 1.99.1\n");

    await expect(start({ insteadOfGo: "ask a colleague" })).rejects.toThrow(
      /^store: expected Go 1\.99\.1 or later on PATH .*, or ask a colleague$/,
    );
  });
});

import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { pendingOf, readPatches } from "../../../ops/maintenance/patches.ts";

const ENGINE = "Inst docker.io [20.10.24+dfsg1-1] (20.10.24+dfsg1-1+deb12u1 Debian:12.9/stable [amd64])";
const LIBRARY =
  "Inst libssl3 [3.0.15-1] (3.0.16-1 Debian:12.9/stable, Debian-Security:12/stable-security [amd64])";
const UBUNTU = "Inst libc6 [2.35-0ubuntu3.8] (2.35-0ubuntu3.9 Ubuntu:22.04/jammy-security [amd64]) []";
const PLAIN = "Inst tzdata [2024a] (2024b Debian:12.9/stable-updates [all])";

const STAMP = "var/lib/apt/periodic/unattended-upgrades-stamp";
const LISTS = "var/lib/apt/lists";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "patches-"));
  await mkdir(join(root, "boot"));
  await mkdir(join(root, "run"));
});
afterEach(() => rm(root, { recursive: true }));

async function touch(path: string, ageHours: number): Promise<void> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, "");
  const at = new Date(Date.now() - ageHours * 3_600_000);
  await utimes(file, at, at);
}

/** On a server in a folder, whose apt says what it would do, and whose kernel is 6.1.0-28. */
async function read(...inst: readonly string[]) {
  const bin = join(root, "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(
    join(bin, "apt-get"),
    `#!/bin/sh\ncat <<'END'\nReading…\n${inst.join("\n")}\nConf x\nEND\n`,
  );
  await writeFile(join(bin, "uname"), "#!/bin/sh\necho 6.1.0-28-amd64\n");
  for (const name of ["apt-get", "uname"]) await chmod(join(bin, name), 0o755);
  return await readPatches({
    run: async ({ script }) => {
      const text = script.replaceAll(/(?<=[ =])\/(?=(boot|run|var)\b)/g, `${root}/`);
      const environment = { PATH: `${bin}:/usr/bin:/bin` };
      return { stdout: await run(["bash", "-euo", "pipefail", "-c", text], { environment }), stderr: "" };
    },
  });
}

const names = (upgrades: readonly { readonly package: string }[]) =>
  upgrades.map(({ package: name }) => name);

describe("readPatches", () => {
  it("tells upgrades of the engine and everything that would be upgraded", async () => {
    const patches = await read(ENGINE, PLAIN);

    expect(patches).toMatchObject({ security: [], reboot: undefined });
    expect(patches.engine).toEqual([
      { package: "docker.io", installed: "20.10.24+dfsg1-1", available: "20.10.24+dfsg1-1+deb12u1" },
    ]);
    expect(names(patches.upgrades)).toEqual(["docker.io", "tzdata"]);
  });

  it.each([
    ["was never at work", undefined, 1, []],
    ["has not seen the newest lists yet", 5, 1, []],
    ["came after the newest lists", 1, 5, ["libssl3", "libc6"]],
    ["was at work more than two days ago", 50, 1, ["libssl3", "libc6"]],
  ])("tells security updates that the daily upgrade left: it %s", async (_, stamp, lists, found) => {
    if (stamp !== undefined) await touch(STAMP, stamp);
    await mkdir(join(root, LISTS), { recursive: true });
    const at = new Date(Date.now() - lists * 3_600_000);
    await utimes(join(root, LISTS), at, at);

    const patches = await read(LIBRARY, UBUNTU, PLAIN);

    expect(names(patches.security)).toEqual(found);
    expect(patches.upgrades).toHaveLength(3);
  });

  it("asks for a reboot where a newer kernel is installed than the one that runs", async () => {
    for (const kernel of ["6.1.0-9", "6.1.0-28", "6.1.0-29"]) await touch(`boot/vmlinuz-${kernel}-amd64`, 1);

    expect((await read()).reboot).toBe("kernel 6.1.0-28-amd64 runs, 6.1.0-29-amd64 is installed");
  });

  it("asks for a reboot where a package does", async () => {
    await touch("boot/vmlinuz-6.1.0-28-amd64", 1);
    expect((await read()).reboot).toBeUndefined();

    await touch("run/reboot-required", 1);
    expect((await read()).reboot).toBe("an upgrade asks for it");
    await writeFile(join(root, "run/reboot-required.pkgs"), "libc6\ndbus\nlibc6\n");
    expect((await read()).reboot).toBe("dbus libc6");
  });
});

describe("pendingOf", () => {
  it("is nothing on a server that is up to date, whatever else could be upgraded", async () => {
    expect(pendingOf(await read(PLAIN))).toEqual([]);
  });

  it("has an entry for each kind", async () => {
    await touch(STAMP, 1);
    await touch("run/reboot-required", 1);

    expect(pendingOf(await read(ENGINE, LIBRARY))).toEqual([
      { what: "security updates", expected: "none pending", found: ["libssl3 3.0.15-1 → 3.0.16-1"] },
      {
        what: "engine",
        expected: "the newest version of its source",
        found: ["docker.io 20.10.24+dfsg1-1 → 20.10.24+dfsg1-1+deb12u1"],
      },
      { what: "reboot", expected: "not required", found: ["an upgrade asks for it"] },
    ]);
  });
});

import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { pendingOf, readPatches, renderByHand, renderUpgrade } from "../../../ops/server/patches.ts";

const ENGINE =
  "Inst docker.io [20.10.24+dfsg1-1] (20.10.24+dfsg1-1+deb12u1 Debian:12.9/stable [amd64]) [docker-buildx:amd64 ]";
const LIBRARY = "Inst libssl3 [3.0.15-1] (3.0.16-1 Debian-Security:12/stable-security [amd64])";
const UBUNTU =
  "Inst libc6:amd64 [2.35-0ubuntu3.8] (2.35-0ubuntu3.9 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64]) []";
const PLAIN = "Inst tzdata [2024a] (2024b Debian:12.9/stable-updates [all])";
const KERNEL = "Inst linux-image-6.1.0-29-amd64 (6.1.123-1 Debian-Security:12/stable-security [amd64])";

const STAMP = "var/lib/apt/periodic/unattended-upgrades-stamp";
const SETTINGS = "etc/apt/apt.conf.d/52technicia-upgrades";
const LISTS = "var/lib/apt/lists";

let root: string;
let kernel: string;
let held: string;
let audit: string;
/** What only a removal of other packages, or the end of a hold, would upgrade. */
let more: readonly string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "patches-"));
  for (const folder of ["boot", "run", LISTS, "var/lib/dpkg/updates", "etc"])
    await mkdir(join(root, folder), { recursive: true });
  [kernel, held, audit, more] = ["6.1.0-28-amd64", "", "", []];
});
afterEach(() => rm(root, { recursive: true }));

async function touch(path: string, ageHours: number): Promise<void> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, "");
  await age(path, ageHours);
}

async function age(path: string, hours: number): Promise<void> {
  const at = new Date(Date.now() - hours * 3_600_000);
  await utimes(join(root, path), at, at);
}

async function program(name: string, text: string): Promise<void> {
  await mkdir(join(root, "bin"), { recursive: true });
  await writeFile(join(root, "bin", name), `#!/bin/sh\n${text}\n`);
  await chmod(join(root, "bin", name), 0o755);
}

/** On a server in a folder, whose apt says what it would do. */
async function read(...inst: readonly string[]) {
  const left = `0 upgraded, 0 newly installed, 0 to remove and ${more.length} not upgraded.`;
  await program(
    "apt-get",
    `case "$*" in *dist-upgrade*) all=yes ;; esac
cat <<'END'
Reading…
${inst.join("\n")}
Conf x
END
if [ "$all" ]; then printf '%s\\n' '${more.join("' '")}'; else echo '${left}'; fi`,
  );
  await program("apt-mark", `echo '${held}'`);
  await program("dpkg", `echo '${audit}'`);
  await program("uname", `echo ${kernel}`);
  return await readLocal();
}

async function readLocal() {
  return await readPatches({
    run: async ({ script }) => {
      const text = script.replaceAll(/(?<=[ =])\/(?=(boot|run|var|etc)\b)/g, `${root}/`);
      const environment = { PATH: `${join(root, "bin")}:/usr/bin:/bin` };
      return { stdout: await run(["bash", "-euo", "pipefail", "-c", text], { environment }), stderr: "" };
    },
  });
}

const names = (upgrades: readonly { readonly package: string }[]) =>
  upgrades.map(({ package: name }) => name);

describe("readPatches", () => {
  it("tells upgrades of the engine and everything that would be upgraded", async () => {
    const patches = await read(ENGINE, PLAIN, KERNEL);

    expect(patches).toMatchObject({ kept: [], broken: undefined, stale: undefined, reboot: undefined });
    expect(patches.engine).toEqual([
      { package: "docker.io", installed: "20.10.24+dfsg1-1", available: "20.10.24+dfsg1-1+deb12u1" },
    ]);
    expect(patches.upgrades.map(renderUpgrade)).toEqual([
      "docker.io 20.10.24+dfsg1-1 → 20.10.24+dfsg1-1+deb12u1",
      "tzdata 2024a → 2024b",
      "linux-image-6.1.0-29-amd64 6.1.123-1 (new)",
    ]);
  });

  it.each(["containerd.io", "docker-ce", "docker-ce-cli", "docker-cli", "docker-compose-plugin", "runc"])(
    "takes %s for a part of the engine",
    async (name) => {
      const { engine } = await read(`Inst ${name} [1] (2 Docker CE:bookworm [amd64])`);

      expect(names(engine)).toEqual([name]);
    },
  );

  it.each([
    ["has not seen the newest lists yet", { stamp: 5, lists: 1 }, []],
    ["came after the newest lists", { stamp: 1, lists: 5 }, ["libssl3", "libc6"]],
    ["was at work more than two days ago", { stamp: 50, lists: 1 }, ["libssl3", "libc6"]],
    ["was switched on today, and has not been at work yet", { settings: 1, lists: 1 }, []],
    ["was switched on long ago, and never at work", { settings: 50, lists: 1 }, ["libssl3", "libc6"]],
    ["was never switched on", { lists: 1 }, ["libssl3", "libc6"]],
  ] as const)(
    "tells security updates that the daily upgrade left: it %s",
    async (_, ages: { stamp?: number; settings?: number; lists: number }, found) => {
      if (ages.stamp !== undefined) await touch(STAMP, ages.stamp);
      if (ages.settings !== undefined) await touch(SETTINGS, ages.settings);
      await age(LISTS, ages.lists);

      const patches = await read(LIBRARY, UBUNTU, PLAIN, KERNEL);

      expect(names(patches.security)).toEqual(found);
      expect(patches.upgrades).toHaveLength(4);
    },
  );

  it("tells apart what it would install, what is held, and what would remove other packages", async () => {
    await touch(STAMP, 0);
    held = "docker.io\nlibssl3:amd64";
    more = [ENGINE, LIBRARY, UBUNTU, "Inst new-one (1 Debian:12.9/stable [all])"];

    const patches = await read(PLAIN);

    expect(names(patches.upgrades)).toEqual(["tzdata"]);
    expect(patches.kept.map(({ package: name, kept }) => [name, kept])).toEqual([
      ["docker.io", "held"],
      ["libssl3", "held"],
      ["libc6", "removal"],
    ]);
    expect(names(patches.engine)).toEqual(["docker.io"]);
    expect(names(patches.security)).toEqual(["libssl3", "libc6"]);
    expect(renderByHand(patches.kept)).toEqual([
      "release what is held, on the server: sudo apt-mark unhold docker.io libssl3",
      "look at what would have to be removed, on the server: sudo apt-get install libc6",
    ]);
  });

  it("tells of packages that are not wholly installed, whatever apt says", async () => {
    audit = "The following packages are only half configured";

    expect(await read(PLAIN)).toMatchObject({ broken: "an installation was interrupted", upgrades: [] });
  });

  it("tells why apt can upgrade nothing", async () => {
    await read();
    await program(
      "apt-get",
      "echo 'Reading'; echo 'E: Unmet dependencies. Try apt --fix-broken install' >&2; exit 100",
    );

    expect((await readLocal()).broken).toBe("E: Unmet dependencies. Try apt --fix-broken install");
  });

  it("tells of package lists that nobody has read for days", async () => {
    await age(LISTS, 24 * 5 + 1);
    expect((await read()).stale).toBe("not read for 5 days");

    await touch("var/lib/apt/periodic/update-success-stamp", 1);
    expect((await read()).stale).toBeUndefined();
  });

  it.each([
    ["6.1.0-28-amd64", ["6.1.0-9-amd64", "6.1.0-28-amd64", "6.1.0-29-amd64"], "6.1.0-29-amd64"],
    ["6.12.9+deb13-cloud-amd64", ["6.12.41+deb13-cloud-amd64"], "6.12.41+deb13-cloud-amd64"],
    ["5.15.0-130-generic", ["5.15.0-130-generic", "6.8.0-50-generic"], "6.8.0-50-generic"],
    // Another flavour is not started instead.
    ["6.1.0-28-cloud-amd64", ["6.1.0-28-cloud-amd64", "6.1.0-29-amd64"], undefined],
    ["6.1.0-28-amd64", ["6.1.0-28-amd64", "6.1.0-29-cloud-amd64"], undefined],
    // Of the kernel that runs no file is left.
    ["6.1.0-28-amd64", ["6.1.0-27-amd64"], undefined],
  ] as const)("asks for a reboot where a newer kernel than %s is among %j", async (runs, files, newest) => {
    kernel = runs;
    for (const file of files) await touch(`boot/vmlinuz-${file}`, 1);

    expect((await read()).reboot).toBe(newest && `kernel ${runs} runs, ${newest} is installed`);
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
    await age(LISTS, 24 * 9);
    await touch("run/reboot-required", 1);

    expect(pendingOf(await read(ENGINE, LIBRARY))).toMatchObject([
      { what: "package lists", expected: "read every day", found: ["not read for 9 days"] },
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

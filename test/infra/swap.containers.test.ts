import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { scriptParts } from "../../common/script.ts";
import { imageOf } from "../support/containers.ts";

const SWAP = scriptParts(new URL("../../infra/scripts/swap.sh", import.meta.url), [
  "observe",
  "apply",
  "remove",
]);
const NAME = `technicia-test-swap-${process.pid}`;

// The disk is a file of 5 GiB that is written nowhere: a container's own file system takes no swap.
const DISK = `
truncate --size 5G /srv/disk; mkfs.ext4 -q -m 0 /srv/disk; mkdir --parents /m; mount --options loop /srv/disk /m
ln --symbolic /m/swapfile /swapfile`;

const CLEAN = `swapoff /m/swapfile 2>/dev/null || true; rm --force /m/*file*; : >/etc/fstab`;

beforeAll(async () => {
  const loops = ["-control", ...Array.from({ length: 8 }, (_, index) => String(index))];
  await run([
    ...["docker", "run", "--detach", "--name", NAME, "--label", "technicia.rehearsal=test"],
    ...["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cap-drop", "SYS_TIME"],
    ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
    ...loops.flatMap((loop) => ["--device", loop === "-control" ? "/dev/loop-control" : `/dev/loop${loop}`]),
    ...["--entrypoint", "sleep", await imageOf("server"), "infinity"],
  ]);
  await bash(DISK);
});
afterAll(async () => {
  await bash(`${CLEAN}; umount /m`);
  await run(["docker", "rm", "--force", "--volumes", NAME]);
});
beforeEach(() => bash(CLEAN));

const tryBash = (script: string) =>
  tryRun(["docker", "exec", "--interactive", NAME, "bash", "-euo", "pipefail", "-s"], { input: script });

async function bash(script: string): Promise<string> {
  const { code, stdout, stderr } = await tryBash(script);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return stdout.trim();
}

const swap = (part: keyof typeof SWAP, gib: number, before = "") =>
  bash(`${before}\nSIZE_GIB=${gib}\n${SWAP[part]}`);

describe("the swap file", () => {
  it("is created with the options that every supported mkswap has", async () => {
    expect(await swap("observe", 1)).toBe("not mounted at boot");

    // The options of util-linux 2.34 and 2.37, which Debian 11 and Ubuntu 22.04 have.
    const old = `mkswap() { for word; do case $word in -*) echo "mkswap: unrecognized option '$word'" >&2; return 1 ;; esac; done; command mkswap "$@"; }`;
    await swap("apply", 1, old);

    expect(await swap("observe", 1)).toBe("1 GiB");
    expect(await bash("cat /etc/fstab")).toBe("/swapfile none swap sw 0 0");
  });

  it.each([
    { from: 1, to: 2 },
    { from: 2, to: 1 },
  ])("changes from $from to $to GiB", async ({ from, to }) => {
    await swap("apply", from);
    expect(await swap("observe", to)).toBe(`${from} GiB`);

    await swap("apply", to);

    expect(await swap("observe", to)).toBe(`${to} GiB`);
    expect(await bash("stat --format %s /m/swapfile")).toBe(String(to * 1024 ** 3));
    expect(await bash("cat /etc/fstab")).toBe("/swapfile none swap sw 0 0");
  });

  it("replaces a file with holes that nobody uses", async () => {
    await bash("truncate --size 2G /m/swapfile");

    await swap("apply", 1);

    expect(await swap("observe", 1)).toBe("1 GiB");
  });

  it("is refused where the disk has no room, and the earlier one stays in use", async () => {
    await swap("apply", 1);

    const { code, stderr } = await tryBash(`SIZE_GIB=8\n${SWAP.apply}`);

    expect(code).toBe(1);
    expect(stderr).toBe(
      "host.swapGib: expected 8 GiB free on the server's disk, one of them to spare, got 3 GiB; free some, or ask for less swap\n",
    );
    expect(await swap("observe", 1)).toBe("1 GiB");
  });

  it("stays in use when a change breaks off half-way", async () => {
    await swap("apply", 1);

    const { code } = await tryBash(`fallocate() { return 1; }\nSIZE_GIB=2\n${SWAP.apply}`);

    expect(code).toBe(1);
    expect(await swap("observe", 1)).toBe("1 GiB");
  });

  it("stays in use where memory has no room for what is swapped out", async () => {
    await swap("apply", 1);

    const { stderr } = await tryBash(
      `swapoff() { echo "swapoff: Cannot allocate memory" >&2; return 1; }\nSIZE_GIB=2\n${SWAP.apply}`,
    );

    expect(stderr).toContain("free some memory on the server, then retry");
    expect(await swap("observe", 1)).toBe("1 GiB");
  });

  it.each(["chmod 0644 /m/swapfile", "chown nobody /m/swapfile"])(
    "is root's alone after %s",
    async (change) => {
      await swap("apply", 1);
      await bash(change);
      expect(await swap("observe", 1)).toBe("1 GiB\nnot root's alone");

      await swap("apply", 1);

      expect(await swap("observe", 1)).toBe("1 GiB");
    },
  );

  it("is mounted at every boot, whatever somebody wrote into /etc/fstab", async () => {
    await swap("apply", 1);
    await bash("printf '/swapfile\\tnone\\tswap\\tsw,noauto\\t0\\t0\\n' >/etc/fstab");
    expect(await swap("observe", 1)).toBe("1 GiB\nnot mounted at boot");

    await swap("apply", 1);

    expect(await bash("cat /etc/fstab")).toBe("/swapfile none swap sw 0 0");
  });

  it("goes with the setting", async () => {
    await swap("apply", 1);

    await swap("remove", 1);

    expect(await swap("observe", 1)).toBe("not mounted at boot");
    expect(await bash("ls -A /m")).toBe("lost+found");
  });
});

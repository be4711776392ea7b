import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { breakLock, LEASE_SECONDS, readLock, takeLock } from "../../../ops/server/lock.ts";
import type { Identity } from "../../../ops/server/identity.ts";
import { letTimePass, startLocalServer, type LocalServer } from "./local-server.ts";

let server: LocalServer;

beforeEach(async () => {
  server = await startLocalServer();
  said = [];
  pauses = [];
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const alice: Identity = { who: "alice@laptop", run: "", process: 4001, started: "77", space: "boot pid:[1]" };
const bob: Identity = { who: "bob@desk", run: "", process: 5001 };

let said: string[];
let pauses: number[];

const take = (identity = alice, isAlive = () => true, pause = fallSilent) =>
  takeLock(server, {
    stack: "test",
    identity,
    why: "deploy: ticket 12",
    isAlive,
    say: (line) => said.push(line),
    pause(seconds) {
      pauses.push(seconds);
      return pause(seconds);
    },
  });

/** Makes the holder's last sign of life so much older. */
const fallSilent = (seconds: number) => letTimePass(server, seconds);

describe("takeLock", () => {
  it("refuses a second holder, with the name, time, reason and last sign of life of the first", async () => {
    await take();

    await expect(take(bob)).rejects.toThrow(
      /^test: expected no deployment under way, got alice@laptop since 20\d\d-\S+ \S+ UTC, why: deploy: ticket 12, last sign of life \d+ s ago; wait until it has ended$/,
    );
  });

  it("refuses while the upgrade of a maintenance goes on, unless to the next maintenance", async () => {
    const systemctl = join(server.folder, "../bin/systemctl");
    await writeFile(systemctl, "#!/bin/sh\necho active\n", { mode: 0o755 });

    await expect(take()).rejects.toThrow(
      "test: expected no maintenance under way, got an upgrade of packages that goes on although its command has ended; finish it with npm run maintain -- test",
    );
    expect(await readLock(server)).toBeUndefined();

    const { lock } = await takeLock(server, {
      ...{ stack: "test", identity: alice, why: "maintenance", duringUpgrade: true },
      ...{ isAlive: () => true, say: (line) => said.push(line), pause: fallSilent },
    });
    expect(await lock.renew()).toBe(true);
  });

  it("gives the lock to one of many who ask at once", async () => {
    const asked = await Promise.allSettled(
      Array.from({ length: 6 }, (_, index) => take({ ...bob, who: `bob@desk${index}` })),
    );

    expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("gives the lock again once it was released, and leaves no file behind", async () => {
    const { lock } = await take();
    await lock.release();
    expect(await readdir(server.folder)).toEqual([]);

    expect((await take(bob)).replaced).toBeUndefined();
    expect((await readLock(server))!.holder.who).toBe("bob@desk");
  });

  it("takes the lock over from a dead command of ours once it has missed its signs of life, and says so", async () => {
    await take();
    const asked: unknown[] = [];
    const isAlive = (...process: unknown[]) => (asked.push(process), false);
    const { replaced } = await take({ ...alice, process: 4002 }, isAlive);

    // The start as well, because the number may be another process's by now.
    expect(asked[0]).toEqual([4001, "77"]);
    expect(said).toEqual([
      expect.stringMatching(
        /^your command \(process 4001\) no longer runs and left its lock: taking it over in (40|41) s$/,
      ),
    ]);
    expect(replaced!.holder.process).toBe(4001);
    expect((await readLock(server))!.holder.process).toBe(4002);
  });

  it("takes it over at once when its last sign of life is long ago", async () => {
    await take();
    await fallSilent(60);

    await take({ ...alice, process: 4002 }, () => false);
    expect(pauses).toEqual([]);
  });

  it("does not take the lock of a command that seems dead and gives a sign of life", async () => {
    const { lock } = await take();
    await fallSilent(10);

    await expect(
      take(
        { ...alice, process: 4002 },
        () => false,
        () => lock.renew().then(() => undefined),
      ),
    ).rejects.toThrow("expected no deployment under way, got alice@laptop since");
    expect((await readLock(server))!.holder.process).toBe(4001);
  });

  it.each([
    ["somebody else's", bob, alice],
    ["a CI's, asked for by hand", { ...alice, run: "https://ci/1" }, alice],
    [
      "of a container of the same name, whose processes cannot be seen",
      { ...alice, space: "boot pid:[2]" },
      alice,
    ],
    ["of another boot of a machine of that name", { ...alice, space: "other pid:[1]" }, alice],
    [
      "a CI's, whose runners share names",
      { ...alice, run: "https://ci/1" },
      { ...alice, run: "https://ci/2" },
    ],
  ])("does not take the lock over when it is %s", async (_what, holder, other) => {
    await take(holder);
    await fallSilent(60);

    await expect(take(other, () => false)).rejects.toThrow("expected no deployment under way");
  });

  it("takes a lock folder that somebody has emptied for no lock", async () => {
    const { lock } = await take();
    for (const file of await readdir(join(server.folder, "lock")))
      await rm(join(server.folder, "lock", file));

    expect((await take(bob)).replaced).toBeUndefined();
    expect(await lock.renew()).toBe(false);
    expect((await readLock(server))!.holder.who).toBe("bob@desk");
  });

  it("fails at an unreadable lock, and leaves it", async () => {
    await mkdir(join(server.folder, "lock"), { recursive: true });
    await writeFile(join(server.folder, "lock", "note"), "mine");

    await expect(take()).rejects.toThrow(
      "/var/lib/technicia/lock on debian@203.0.113.10:22: this lock does not name its holder",
    );
    expect(await readdir(join(server.folder, "lock"))).toEqual(["note"]);
  });
});

describe("a lock", () => {
  it("is dead once its lease is over, and alive again once it is renewed", async () => {
    const { lock } = await take();
    await fallSilent(LEASE_SECONDS + 5);
    expect((await readLock(server))!.dead).toBe(true);

    expect(await lock.renew()).toBe(true);
    expect((await readLock(server))!.dead).toBe(false);
  });

  it("cannot be renewed once it was broken, and its release leaves the next holder's lock alone", async () => {
    const { lock } = await take();
    await fallSilent(LEASE_SECONDS + 5);
    await breakLock(server, { stack: "test", holder: "alice@laptop", force: undefined });
    await take(bob);

    expect(await lock.renew()).toBe(false);
    await lock.release();
    expect((await readLock(server))!.holder.who).toBe("bob@desk");
  });
});

describe("breakLock", () => {
  const request = { stack: "test", holder: "alice@laptop", force: undefined };

  it("fails where there is no lock", async () => {
    await expect(breakLock(server, request)).rejects.toThrow("test is not locked");
  });

  it("fails when another name holds it", async () => {
    await take(bob);

    await expect(breakLock(server, request)).rejects.toThrow("--holder: expected bob@desk, got alice@laptop");
  });

  it("refuses a live one unless by force", async () => {
    await take();

    await expect(breakLock(server, request)).rejects.toThrow(
      /^test: expected a holder without a sign of life for 120 s, got one \d s ago; wait for it, or end it there first and then add --force --reason "…" \(alice@laptop since/,
    );
    await breakLock(server, { ...request, force: "the laptop is lost" });
    expect(await readLock(server)).toBeUndefined();
  });
});

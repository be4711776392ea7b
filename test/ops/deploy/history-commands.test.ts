import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import type { CopiedRecords } from "../../../ops/backup/copied-records.ts";
import { showHistory, unlock } from "../../../ops/deploy/history-commands.ts";
import { appendHistory } from "../../../ops/server/records.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { readLock, takeLock } from "../../../ops/server/lock.ts";
import { TestStack } from "./test-stack.ts";

let stack: TestStack;

beforeEach(async () => {
  stack = await TestStack.open();
  await deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: true, reason: "panne", yes: true },
    stack.operator,
  );
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const copied: CopiedRecords = {
  ...{ set: "0123456789abcdef".repeat(4), madeAt: "2026-11-24T09:00:00.123Z", corrupt: [] },
  events: [
    {
      ...{ at: "2026-11-23T10:00:00.000Z", who: "bob@laptop", reason: "", detail: "jeu 01234567" },
      action: "restore",
    },
  ],
  releases: [],
};

describe("history, when the server does not answer", () => {
  const dead = () => ({
    ...stack.operator,
    openServer: () => ({
      ...stack.server,
      run: () => Promise.reject(new UserError("debian@203.0.113.10:22: no answer within 30 s")),
    }),
  });
  const request = { stack: "test", release: undefined, json: false };

  it("prints the copy in the newest set, and says why, which and how old", async () => {
    const { text, exitCode } = await showHistory(request, dead(), () => Promise.resolve(copied));

    expect(exitCode).toBe(0);
    expect(text).toMatch(
      /^debian@203\.0\.113\.10:22: no answer within 30 s\nthese are the records in the set 01234567 of 2026-11-24 09:00:00 UTC, [\d.]+ h old; what came later is not among them\n\nWhen /,
    );
    expect(text).toContain("bob@laptop");
    const json = await showHistory({ ...request, json: true }, dead(), () => Promise.resolve(copied));
    expect(JSON.parse(json.text)).toMatchObject({
      copy: { set: copied.set, madeAt: copied.madeAt },
      events: [{ action: "restore" }],
    });
  });

  it("fails where no backups are set up", async () => {
    await expect(showHistory(request, dead(), () => Promise.resolve(undefined))).rejects.toThrow(
      "no answer within 30 s",
    );
  });

  it("takes the server's own where it answers", async () => {
    const { text } = await showHistory(request, stack.operator, () => Promise.reject(new Error("asked")));

    expect(text).toMatch(/^When /);
  });
});

describe("history", () => {
  it("prints who did what when", async () => {
    const { text, exitCode } = await showHistory(
      { stack: "test", release: undefined, json: false },
      stack.operator,
    );

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^When \(UTC\) +Who +What +Release +Detail\n/);
    expect(text.replace(/\s+/g, " ")).toMatch(
      / 2026-11-24 10:01:35 alice@laptop deploy 1 version 1 en service : .* \(panne\)$/,
    );
  });

  it("prints events and releases for a program", async () => {
    const { text } = await showHistory({ stack: "test", release: undefined, json: true }, stack.operator);

    expect(JSON.parse(text)).toMatchObject({
      events: [
        { action: "emergency", release: 1, reason: "panne" },
        { action: "deploy", release: 1, who: "alice@laptop" },
      ],
      releases: [{ number: 1, emergency: true }],
      corrupt: [],
    });
  });

  describe("after a verification that failed with a long text", () => {
    const output = `la mise à jour a échoué :\n${"error: the task never became healthy\n".repeat(40)}`;

    beforeEach(async () => {
      await appendHistory(stack.server, {
        at: "2026-11-24T11:00:00.000Z",
        who: "alice@laptop",
        action: "deploy",
        reason: "",
        detail: output,
        release: 2,
      });
    });

    it("prints a table that fits 100 columns, and names the command for the rest", async () => {
      const { text } = await showHistory({ stack: "test", release: undefined, json: false }, stack.operator);

      expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      expect(text.split("\n").length).toBeLessThan(20);
      expect(text).toMatch(/\n… is in full in npm run history -- test <release>, and with --json$/);
    });

    it("prints everything about one release when given its number", async () => {
      const two = await showHistory({ stack: "test", release: 2, json: false }, stack.operator);
      const one = await showHistory({ stack: "test", release: 1, json: false }, stack.operator);

      expect(two.text).toBe(`2026-11-24 11:00:00 UTC  deploy by alice@laptop\n${output}`);
      expect(one.text).toMatch(
        /^release 1 \(0123456789ab\): .*\nsucceeded, 2026-11-24 10:00:00 to .* UTC, by alice@laptop\n/,
      );
      expect(one.text).toContain("verify: 1 ok, 0 failed, 1 not checked");
      expect(one.text).toContain("emergency by alice@laptop, why: panne\nversion 1 : déploiement d'urgence");
    });

    it("fails when there is no release of that number", async () => {
      await expect(showHistory({ stack: "test", release: 9, json: false }, stack.operator)).rejects.toThrow(
        "test has no release 9; npm run history -- test lists them all",
      );
    });
  });

  it("fails, and still prints the rest, when a record is corrupt", async () => {
    await writeFile(join(stack.server.folder, "releases", "000009.json"), "?");
    const { text, exitCode } = await showHistory(
      { stack: "test", release: undefined, json: false },
      stack.operator,
    );

    expect(exitCode).toBe(1);
    expect(text).toContain("version 1 en service");
    expect(text).toContain("/var/lib/technicia/releases/000009.json: expected a release as JSON");
  });

  it("fails where nothing is deployed", async () => {
    stack.deployed = false;

    await expect(
      showHistory({ stack: "test", release: undefined, json: false }, stack.operator),
    ).rejects.toThrow("test is not deployed; deploy it with npm run deploy -- test");
  });
});

describe("unlock", () => {
  const identity = { who: "bob@desk", run: "", process: 1 };

  beforeEach(async () => {
    await takeLock(stack.server, { ...stack.operator, stack: "test", identity, why: "deploy: x" });
  });

  it("releases the lock and records who did it, and why", async () => {
    const request = { stack: "test", holder: "bob@desk", force: true, reason: "bob's desk burned down" };
    const { text } = await unlock(request, stack.operator);

    expect(text).toMatch(/^released the lock; it was held by bob@desk since/);
    expect(await readLock(stack.server)).toBeUndefined();
    expect((await stack.history()).at(-1)).toBe("unlock: verrou de bob@desk levé de force (deploy: x)");
  });

  it("refuses a live one without force, and records nothing", async () => {
    const request = { stack: "test", holder: "bob@desk", force: false, reason: "" };

    await expect(unlock(request, stack.operator)).rejects.toThrow("without a sign of life");
    expect((await stack.history()).some((line) => line.startsWith("unlock"))).toBe(false);
  });
});

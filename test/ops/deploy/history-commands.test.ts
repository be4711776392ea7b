import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { showHistory, unlock } from "../../../ops/deploy/history-commands.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { readLock, takeLock } from "../../../ops/server/lock.ts";
import { Scene } from "./scene.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
  await deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: true, reason: "panne", yes: true },
    scene.operator,
  );
});

afterEach(async () => {
  await scene[Symbol.asyncDispose]();
});

describe("history", () => {
  it("tells who did what when", async () => {
    const { text, exitCode } = await showHistory({ stack: "test", json: false }, scene.operator);

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^When \(UTC\) +Who +What +Release +Detail\n/);
    expect(text).toMatch(
      /\n2026-11-24 10:01:35 +alice@laptop +deploy +1 +version 1 en service : .* \(panne\)$/,
    );
  });

  it("gives events and releases to a program", async () => {
    const { text } = await showHistory({ stack: "test", json: true }, scene.operator);

    expect(JSON.parse(text)).toMatchObject({
      events: [
        { action: "emergency", release: 1, reason: "panne" },
        { action: "deploy", release: 1, who: "alice@laptop" },
      ],
      releases: [{ number: 1, emergency: true }],
      corrupt: [],
    });
  });

  it("fails, and still tells the rest, when a record is corrupt", async () => {
    await writeFile(join(scene.server.folder, "releases", "000009.json"), "?");
    const { text, exitCode } = await showHistory({ stack: "test", json: false }, scene.operator);

    expect(exitCode).toBe(1);
    expect(text).toContain("version 1 en service");
    expect(text).toContain("/var/lib/technicia/releases/000009.json: expected a release as JSON");
  });

  it("fails where nothing is deployed", async () => {
    scene.deployed = false;

    await expect(showHistory({ stack: "test", json: false }, scene.operator)).rejects.toThrow(
      "test: expected a deployed stack, got none; deploy it with npm run deploy -- test",
    );
  });
});

describe("unlock", () => {
  const identity = { who: "bob@desk", run: "", process: 1 };

  beforeEach(async () => {
    await takeLock(scene.server, { stack: "test", identity, why: "deploy: x", isAlive: () => true });
  });

  it("frees the lock and records who did it, and why", async () => {
    const request = { stack: "test", holder: "bob@desk", force: true, reason: "bob's desk burnt" };
    const { text } = await unlock(request, scene.operator);

    expect(text).toMatch(/^the lock is free; it was held by bob@desk since/);
    expect(await readLock(scene.server)).toBeUndefined();
    expect((await scene.history()).at(-1)).toBe("unlock: verrou de bob@desk levé de force (deploy: x)");
  });

  it("refuses a live one without force, and records nothing", async () => {
    const request = { stack: "test", holder: "bob@desk", force: false, reason: "" };

    await expect(unlock(request, scene.operator)).rejects.toThrow("without a sign of life");
    expect((await scene.history()).some((line) => line.startsWith("unlock"))).toBe(false);
  });
});

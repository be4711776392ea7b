import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { readLock } from "../../../ops/server/lock.ts";
import { rollback, type RollbackRequest } from "../../../ops/deploy/rollback.ts";
import { failing, ok, pulled, TestStack } from "./test-stack.ts";

let stack: TestStack;

/** Three releases that were verified: vector-store 1.0.1, 1.0.2, 1.0.3. */
beforeEach(async () => {
  stack = await TestStack.open();
  for (const version of [1, 2, 3]) {
    stack.setImage("vectorStore", image(version));
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      stack.operator,
    );
  }
  stack.calls.length = stack.printed.length = stack.parts.length = 0;
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const image = (version: number) => `technicia/vector-store:1.0.${version}`;

const back = (request: Partial<RollbackRequest> = {}) =>
  rollback(
    {
      ...{ stack: "test", to: undefined, reason: "users complain", yes: true },
      ...{ dataStays: false, withData: false, ...request },
    },
    stack.operator,
  );

describe("rollback", () => {
  it("restores the release before the running one, verifies it and records it", async () => {
    const outcome = await back();

    expect(outcome.exitCode).toBe(0);
    expect(outcome.text).toContain("release 2 runs again, as release 4");
    expect(outcome.text).toContain("Pulumi.test.yaml still has what ran before");
    expect(outcome.text).toContain("rollback 60.0 s, rollbackVerify 20.0 s");
    expect(stack.images["vectorStore"]).toBe(pulled(image(2)));
    expect(stack.ups.at(-1)!.args).toContain("--refresh");
    expect(await stack.lastRelease()).toMatchObject({
      number: 4,
      kind: "rollback",
      restored: 2,
      outcome: "succeeded",
      reason: "users complain",
      images: { vectorStore: pulled(image(2)) },
      restoredVerify: [{ id: "rollback-time", outcome: "ok" }],
    });
    expect((await stack.history()).at(-1)).toMatch(
      /^rollback: version 2 remise en service en 80 s : vectorStore 1\.0\.3@\S+ → 1\.0\.2@\S+$/,
    );
    expect(await readLock(stack.server)).toBeUndefined();
  });

  it("keeps the registry and its account, without which the server could pull nothing", async () => {
    stack.setImage("registry", "registry.exemple.fr/technicia");
    stack.setImage("registryUser", "robot");
    await back();

    const { config } = parse(stack.applied) as { config: Record<string, unknown> };
    expect(config["technicia:images"]).toMatchObject({
      registry: "registry.exemple.fr/technicia",
      registryUser: "robot",
      vectorStore: pulled(image(2)),
    });
  });

  it("restores an earlier release each time, never a later one", async () => {
    await back();
    await back();

    expect(stack.images["vectorStore"]).toBe(pulled(image(1)));
    await expect(back()).rejects.toThrow("test: no earlier release has passed its verification");
  });

  it("restores the given release", async () => {
    expect((await back({ to: 1 })).text).toContain("release 1 runs again");
    expect((await back({ to: 3 })).text).toContain("release 3 runs again");
    expect(stack.images["vectorStore"]).toBe(pulled(image(3)));
  });

  it("fails when there is no such release, and lists the good ones", async () => {
    await expect(back({ to: 9 })).rejects.toThrow(
      "--to: expected the number of a release, got 9; there are 1, 2, 3",
    );
    expect(stack.ups).toEqual([]);
  });

  it("fails when the record of that release is corrupt, and leaves it", async () => {
    await writeFile(join(stack.server.folder, "releases", "000002.end.json"), "half");

    await expect(back({ to: 2 })).rejects.toThrow(
      /got 2; there are 1, 3\n {2}\S+000002\.end\.json: expected a release as JSON/,
    );
  });

  it("fails when that release failed", async () => {
    stack.setImage("vectorStore", image(4));
    stack.verify = () => Promise.resolve([stack.images["vectorStore"] === pulled(image(4)) ? failing : ok]);
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      stack.operator,
    );

    await expect(back({ to: 4 })).rejects.toThrow(
      "--to: expected a release that passed its verification, got 4, which is rolled-back; there are 1, 2, 3",
    );
    // Release 3 was put back, so the one before it is 2.
    expect((await back()).text).toContain("release 2 runs again");
  });

  it("records the failure when the restored release fails its verification", async () => {
    stack.verify = () => Promise.resolve([failing]);
    const outcome = await back();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("test: the rollback to release 2 failed: its verification failed");
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "failed",
      failure: "la vérification est en échec",
    });
  });

  it("prints the engine's error when the engine fails", async () => {
    stack.up = () => Promise.resolve({ error: "no room left", changed: true });

    expect(await back()).toMatchObject({
      exitCode: 1,
      text: expect.stringContaining("no room left") as string,
    });
  });

  it("does not pass when it is interrupted during its verification, and says so in the record", async () => {
    stack.verify = () => {
      stack.stop.abort(new Error("interrupted by the operator"));
      return Promise.resolve([{ ...ok, outcome: "not-checked", detail: "interrompu" }]);
    };

    expect(await back()).toMatchObject({
      exitCode: 1,
      text: expect.stringContaining("failed: interrupted by the operator") as string,
    });
    expect((await stack.lastRelease()).failure).toBe(
      "interrompue par l'opérateur ; interrupted by the operator",
    );
  });

  it("works outside of the window", async () => {
    stack.now = new Date("2026-11-28T23:00:00Z");

    expect(await back()).toMatchObject({ exitCode: 0 });
  });

  it("changes nothing when nobody confirms", async () => {
    stack.confirms = false;

    expect(await back({ yes: false })).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(stack.ups).toEqual([]);
    expect(await stack.releases()).toHaveLength(3);
  });

  it("fails where nothing is deployed", async () => {
    stack.deployed = false;

    await expect(back()).rejects.toThrow("test: there is no server, so there is no release to roll back to");
  });
});

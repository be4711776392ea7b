import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { commands, underLock } from "../../../ops/engine/resume-command.ts";
import { readLock } from "../../../ops/server/lock.ts";
import { UserError } from "../../../common/user-error.ts";
import { TestStack } from "../deploy/test-stack.ts";

let stack: TestStack;

beforeEach(async () => {
  stack = await TestStack.open();
  stack.deployed = true;
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

describe("underLock", () => {
  it("keeps deployments away while the state is settled", async () => {
    const held = await underLock("test", stack.operator, () => readLock(stack.server));

    expect(held!.holder).toMatchObject({ who: "alice@laptop", why: "resume" });
    expect(await readLock(stack.server)).toBeUndefined();
  });

  it("does nothing while a deployment is under way", async () => {
    const bob = { ...stack.operator, identity: { who: "bob@desk", run: "", process: 1 } };
    const began: string[] = [];

    await underLock("test", bob, async () => {
      await expect(
        underLock("test", stack.operator, () => Promise.resolve(began.push("settled"))),
      ).rejects.toThrow("test: expected no deployment under way, got bob@desk");
    });
    expect(began).toEqual([]);
  });

  it("works without the lock, and says so, where the server cannot be reached", async () => {
    const lost = { ...stack.server, run: () => Promise.reject(new UserError("no answer")) };

    expect(
      await underLock("test", { ...stack.operator, openServer: () => lost }, () =>
        Promise.resolve("settled"),
      ),
    ).toBe("settled");
    expect(stack.printed).toEqual([
      "without the deployment lock, because the server cannot be reached: no answer",
    ]);
  });

  it("works where there is no server yet", async () => {
    stack.deployed = false;

    expect(await underLock("test", stack.operator, () => Promise.resolve("settled"))).toBe("settled");
  });
});

describe("resume", () => {
  it.each([
    [["test", "--host-key", `SHA256:${"a".repeat(43)}`]],
    [["test", "--reinstalled", "--host-key", "aa:bb"]],
  ])("refuses %j", async (args) => {
    await expect(commands["resume"]!.run(args)).rejects.toThrow(
      /^--host-key: expected a fingerprint such as SHA256:… .* together with --reinstalled, got /,
    );
  });
});

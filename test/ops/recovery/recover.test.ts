import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { recoverStack, type RecoverRequest } from "../../../ops/recovery/recover.ts";
import type { Server } from "../../../ops/server/connection.ts";
import { failing, TestStack } from "../deploy/test-stack.ts";

const SET = "0123456789abcdef".repeat(4);
const counts = { n8n: { workflows: 3 } };
const answers: Readonly<Record<string, object>> = {
  plan: {
    ...{ id: SET, time: "2026-11-24T09:00:00Z", minutesLost: 61, release: null, indexedSince: {} },
    items: { n8n: { at: "2026-11-24T09:00:00Z", now: { workflows: 0 }, then: { workflows: 3 } } },
  },
  restore: { set: SET, only: ["n8n"], counts, stoppedSeconds: 9, took: 20 },
};

let stack: TestStack;
let words: string[];

beforeEach(async () => {
  stack = await TestStack.open();
  words = [];
});
afterEach(() => stack[Symbol.asyncDispose]());

function recover(changes: Partial<RecoverRequest> = {}) {
  const server: Server = {
    ...stack.server,
    run: (command) => {
      if (!command.script.includes("systemd-run")) return stack.server.run(command);
      const [word = "", ...rest] = (command.variables?.["WORDS"] ?? "").split("\n");
      words.push([word, ...rest].join(" "));
      stack.parts.push(word);
      return Promise.resolve({ stdout: JSON.stringify(answers[word]), stderr: "" });
    },
  };
  const operator = { ...stack.operator, openServer: () => server };
  const world = { ...operator, fetch, variables: {} };
  return recoverStack({ stack: "test", set: undefined, yes: false, ...changes }, { operator, world });
}

describe("npm run recover", () => {
  it("plans, asks once, sets the server up, restores the newest set and verifies, and times each step", async () => {
    const { text, exitCode } = await recover();

    expect(exitCode).toBe(0);
    expect(stack.parts).toEqual(["plan", "up", "plan", "restore", "verify"]);
    expect(stack.asked).toEqual(["set test up as shown, and overwrite its data with a set of backups?"]);
    expect(words).toEqual(["plan", `restore --set ${SET}`]);
    expect(text).toContain("restored the set 01234567");
    expect(text).toMatch(/^deploy +60\.0$/m);
    expect(text).toMatch(/^together +90\.0$/m);
  });

  it("restores the set that was asked for", async () => {
    await recover({ set: "0123abcd", yes: true });

    expect(stack.asked).toEqual([]);
    expect(words[0]).toBe("plan --set 0123abcd");
  });

  it("changes nothing that nobody has agreed to", async () => {
    stack.confirms = false;

    expect(await recover()).toEqual({ text: "nothing was changed on the server", exitCode: 1 });
    expect(stack.parts).toEqual(["plan"]);
  });

  it("stops before the restore when the server cannot be set up, and says how to go on", async () => {
    stack.up = () => Promise.resolve({ error: "ssh: no answer", changed: false });

    await expect(recover()).rejects.toThrow(
      /ssh: no answer[^]*npm run recover -- test again, which goes on from here$/,
    );
    expect(words).toEqual([]);
  });

  it("stops before anything when the plan fails", async () => {
    stack.planFailure = "the price is higher than the accepted one";

    await expect(recover()).rejects.toThrow(/^the price is higher[^]*npm run recover -- test again$/);
    expect(stack.ups).toEqual([]);
  });

  it("ends with the failure of the verification", async () => {
    stack.verify = () => Promise.resolve([failing]);

    expect((await recover()).exitCode).not.toBe(0);
  });
});

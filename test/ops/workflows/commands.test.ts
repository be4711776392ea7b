import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkStack, commands } from "../../../ops/workflows/commands.ts";
import { TestWorld } from "./test-world.ts";

let test: TestWorld;
beforeEach(async () => {
  test = await TestWorld.open();
});
afterEach(() => test[Symbol.asyncDispose]());

describe("npm run workflows", () => {
  it("checks the folder without a server, without secrets, and where the rest is off", async () => {
    [test.workflows, test.secrets] = [{}, {}];

    expect(await checkStack({ stack: "test" }, test.world)).toEqual({
      text: "workflows: 5 workflows, 1 credentials, no problem",
      exitCode: 0,
    });
    expect(test.server.purposes).toEqual([]);
  });

  it("ends with 1 and all problems, counted", async () => {
    await test.write("technicia-errors.json", "{");
    await test.write(
      "credentials.yaml",
      "technicia-anthropic: { name: Anthropic, type: anthropicApi, data: { apiKey: abc } }",
    );
    const { text, exitCode } = await checkStack({ stack: "test" }, test.world);

    expect(exitCode).toBe(1);
    expect(text).toMatch(/^workflows\/technicia-errors\.json: expected JSON/);
    expect(text).toContain(
      "credentials.yaml: technicia-anthropic.data.apiKey: expected the name of a secret",
    );
    expect(text).toMatch(/workflows: 4 workflows, 1 credentials, 6 problems$/);
  });

  it.each([
    [["test"], 'expected one of check, diff, push, pull, got ""'],
    [["test", "publish"], 'expected one of check, diff, push, pull, got "publish"'],
    [["test", "push", "now"], 'got "push now"'],
    [[], "expected the name of one stack"],
    [["test", "check", "--all"], "Unknown option '--all'"],
  ])("says how %j should be written", async (args, reason) => {
    await expect(commands["workflows"]!.run(args)).rejects.toThrow(reason);
    await expect(commands["workflows"]!.run(args)).rejects.toThrow(
      "usage: npm run workflows -- <stack> check|diff|push|pull",
    );
  });
});

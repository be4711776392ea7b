import { describe, expect, it } from "vitest";

import { runCli } from "./fake-pulumi.ts";

describe("the command line", () => {
  it.each([
    [[], 'expected one of secrets, status, resume, got ""'],
    [["deploy"], 'expected one of secrets, status, resume, got "deploy"'],
    [["toString"], 'expected one of secrets, status, resume, got "toString"'],
    [["secrets"], "expected the name of one stack (test, staging, prod), got 0"],
    [["status", "test", "prod"], "expected the name of one stack (test, staging, prod), got 2"],
    [["secrets", "test", "--show"], "Unknown option '--show'"],
  ])("fails with the usage when given %j", async (args, told) => {
    const run = await runCli(args, {});

    expect(run.code).toBe(1);
    expect(run.stderr).toContain(told);
    expect(run.stderr).toMatch(/usage:\s+npm run \w+ -- <stack>/);
    expect(run.calls).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";

import { runCli } from "./fake-pulumi.ts";

describe("the command line", () => {
  it.each([
    [[], /^expected one of .*\bsecrets\b.*, got ""$/m],
    [["deplyo"], /^expected one of .*\bsecrets\b.*, got "deplyo"$/m],
    [["toString"], /^expected one of .*\bsecrets\b.*, got "toString"$/m],
    [["secrets"], "expected the name of one stack (test, staging, prod), got 0"],
    [["status", "test", "prod"], "expected the name of one stack (test, staging, prod), got 2"],
    [["secrets", "test", "--show"], "Unknown option '--show'"],
  ])("fails with the usage when given %j", async (args, told) => {
    const run = await runCli(args, {});

    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(told);
    expect(run.stderr).toMatch(/usage:\s+npm run \w+ -- <stack>/);
    expect(run.calls).toEqual([]);
  });
});

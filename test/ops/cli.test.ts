import { describe, expect, it } from "vitest";

import { runCli } from "./fake-pulumi.ts";

describe("the command line", () => {
  it.each([
    [[], 'expected secrets, status or resume, got ""'],
    [["deploy"], 'expected secrets, status or resume, got "deploy"'],
    [["toString"], 'expected secrets, status or resume, got "toString"'],
    [["secrets"], "expected the name of one stack (test, staging, prod), got 0"],
    [["status", "test", "prod"], "expected the name of one stack (test, staging, prod), got 2"],
    [["secrets", "test", "--show"], "Unknown option '--show'"],
  ])("fails with the usage when given %j", async (args, told) => {
    const run = await runCli(args, {});

    expect(run.code).toBe(1);
    expect(run.stderr).toContain(told);
    expect(run.stderr).toContain("npm run secrets -- <stack> [--init] [--config-file <file>]");
    expect(run.calls).toEqual([]);
  });
});

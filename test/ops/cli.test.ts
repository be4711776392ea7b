import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { runCli } from "./fake-pulumi.ts";

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };

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

  const named = Object.values(scripts).flatMap(
    (script) => /^node ops\/main\.ts (\S+)$/.exec(script)?.[1] ?? [],
  );

  it.each(named)("knows %s, as package.json calls it", async (name) => {
    const run = await runCli([name, "--no-such-option"], {});

    expect(run.stderr).toContain("--no-such-option");
    expect(run.stderr).toMatch(new RegExp(`^usage: npm run ${name}\\b`, "m"));
  });

  it("tells of every one of them when it does not know a name", async () => {
    const { stderr } = await runCli(["deplyo"], {});

    for (const name of named) expect(stderr).toContain(`npm run ${name}`);
  });
});

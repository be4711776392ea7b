import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { runCli } from "../support/fake-pulumi.ts";

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };

describe("the command line", () => {
  it.each([
    [["secrets"], "expected the name of one stack (test, staging, prod), got 0"],
    [["status", "test", "prod"], "expected the name of one stack (test, staging, prod), got 2"],
    [["secrets", "test", "--show"], "Unknown option '--show'"],
  ])("fails with the usage when given %j", async (args, message) => {
    const run = await runCli(args, {});

    expect(run.code).toBe(1);
    expect(run.stderr).toContain(message);
    expect(run.stderr).toMatch(/usage:\s+npm run \w+ -- <stack>/);
    expect(run.calls).toEqual([]);
  });

  const named = Object.values(scripts).flatMap(
    (script) => /^node ops\/main\.ts (\S+)$/.exec(script)?.[1] ?? [],
  );

  it.each(named)("knows %s, as package.json calls it", async (name) => {
    const run = await runCli([name, "--no-such-option"], {});

    expect(run.stderr).toMatch(new RegExp(`^usage: npm run ${name}\\b`, "m"));
  });

  it.each(["", "deplyo", "toString"])(
    "answers %j, which is no command, with the table that help prints",
    async (name) => {
      const [mistyped, help] = await Promise.all([runCli([name], {}), runCli(["help"], {})]);

      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(mistyped).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `expected one of these commands, got ${JSON.stringify(name)}:\n\n${help.stdout}`,
      });
    },
  );

  it("lists every script of package.json in a table that fits 100 columns", async () => {
    const { stdout } = await runCli(["help"], {});
    const names = stdout.split("\n").flatMap((line) => /^(?!npm run )[a-z:]+/.exec(line) ?? []);

    expect(names.toSorted()).toEqual(Object.keys(scripts).toSorted());
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it("prints the table that the README has", async () => {
    const { stdout } = await runCli(["help", "--markdown"], {});
    const [, table] =
      /<!-- commands -->\n([^]*)<!-- \/commands -->/.exec(readFileSync("README.md", "utf8")) ?? [];

    // Update the README with the output of npm run --silent help -- --markdown.
    expect(table).toBe(`\n${stdout}\n`);
  });

  it("keeps the stack of an unexpected error, and prints a user's error without one", async () => {
    const [unexpected, expected] = await Promise.all([
      // No output of the engine is null, so that nothing in the command expects it.
      runCli(["status", "test"], { "stack output": null }),
      runCli(["status", "test"], { "stack output": {} }),
    ]);

    expect(unexpected).toMatchObject({ code: 1, stdout: "" });
    expect(unexpected.stderr).toMatch(/^TypeError: .*\n {4}at .*\bops\/\w+/);
    expect(expected.stderr).not.toMatch(/^ {4}at /m);
  });
});

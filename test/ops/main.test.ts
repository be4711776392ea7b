import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { runCli } from "../support/fake-pulumi.ts";
import { until } from "../support/until.ts";
import { fillCache } from "./engine/launcher.ts";

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

  const named = Object.values(scripts).flatMap((script) => /^exec ops\/start (\S+)$/.exec(script)?.[1] ?? []);

  it.each(named)("knows %s, as package.json calls it", async (name) => {
    const run = await runCli([name, "--no-such-option"], {});

    expect(run.stderr).toMatch(new RegExp(`^usage: npm run ${name}\\b`, "m"));
  });

  // The shell between npm and the command would end at the signal, and leave the command running without anybody knowing.
  it("gets the signal that ends npm, such as a pipeline's", async () => {
    const folder = await mkdtemp(join(tmpdir(), "signal-"));
    const [started, go] = [join(folder, "started"), join(folder, "go")];
    await fillCache(folder, `touch "${started}"; while [ ! -e "${go}" ]; do sleep 0.05; done; exit 1`);
    const child = spawn("npm", ["run", "--silent", "deploy", "--", "test"], {
      env: { ...process.env, PULUMI_HOME: folder, PULUMI_VERSION: "" },
      stdio: "ignore",
    });
    const closed = once(child, "close");
    await until("the command runs", () => Promise.resolve(existsSync(started)));
    child.kill("SIGTERM");
    await writeFile(go, "");

    // Its own exit code: an npm that had left it behind would have none.
    expect(await closed).toEqual([1, null]);
    await rm(folder, { recursive: true });
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

  it("prints the table that docs/commands.md has", async () => {
    const { stdout } = await runCli(["help", "--markdown"], {});
    const [, table] = /-->\n\n(\|[^]*)$/.exec(readFileSync("docs/commands.md", "utf8")) ?? [];

    expect(table).toBe(stdout);
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

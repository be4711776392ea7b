import { describe, expect, it } from "vitest";

import { commands } from "../../../ops/deploy/commands.ts";
import { UserError } from "../../../common/user-error.ts";
import { runCli } from "../../support/fake-pulumi.ts";

describe("the deployment's command line", () => {
  it.each([
    [["deploy"], "expected the name of one stack (test, staging, prod), got 0"],
    [
      ["deploy", "test", "--only", "test"],
      '--only: expected one of preflight, plan, window, up, verify, record, got "test"',
    ],
    [["deploy", "test", "--emergency"], '--emergency needs a reason: add --reason "…"'],
    [["deploy", "test", "--emergency", "--reason", " "], '--emergency needs a reason: add --reason "…"'],
    [["rollback", "test"], 'a rollback needs a reason: add --reason "…"'],
    [["rollback", "test", "--reason", "x", "--to", "0"], '--to: expected the number of a release, got "0"'],
    [["rollback", "test", "--reason", "x", "--to", "v1"], '--to: expected the number of a release, got "v1"'],
    [["promote", "staging"], "expected two stacks, such as staging prod, got staging"],
    [["promote", "prod", "prod"], "expected two stacks, such as staging prod, got prod prod"],
    [["images", "show", "test"], "expected build or pin, got show"],
    [["images", "pin"], "expected the name of one stack (test, staging, prod), got 0"],
    [["history"], "expected the name of one stack (test, staging, prod), got 0"],
    [["history", "test", "last"], 'release: expected the number of a release, got "last"'],
    [["history", "test", "1", "2"], "expected one release, got 2"],
    [["unlock", "test"], "name the lock's holder: add --holder <name>"],
    [["unlock", "test", "--holder", "a@b", "--force"], '--force needs a reason: add --reason "…"'],
  ])("fails with the usage when given %j", async ([name = "", ...args], told) => {
    const outcome = commands[name]!.run(args);

    await expect(outcome).rejects.toThrow(told);
    await expect(outcome).rejects.toThrow(`usage: ${commands[name]!.usage}`);
    await expect(outcome).rejects.toBeInstanceOf(UserError);
  });

  it.each([
    [["history", "test"], "test is not deployed; deploy it with npm run deploy -- test"],
    [["unlock", "test", "--holder", "a@b"], "test is not deployed"],
    [["promote", "test", "prod"], "test is not deployed"],
  ])("fails when %j finds nothing deployed", async (args, told) => {
    const run = await runCli(args, { "stack output": {} });

    expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining(told) as string });
  });

  it("says which settings are wrong before anything else", async () => {
    const run = await runCli(["images", "pin", "test"], {
      "config --json": { "technicia:domain": { value: "nowhere", secret: false } },
    });

    expect(run.code).toBe(1);
    expect(run.stderr).toContain(
      'the settings of stack "test" have problems:\n  technicia:domain: expected a host name',
    );
    expect(run.calls.map(({ args }) => args[0])).toEqual(["config"]);
  });

  it.each(["deploy", "rollback", "history"])(
    "exits %s with 3 while another run holds the state",
    async (name) => {
      const stderr =
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n" +
        "  file:///state/.pulumi/locks/x.json: created by bob@desk (pid 7) at 2026-11-24T10:00:00Z\n";
      const reason = name === "rollback" ? ["--reason", "x"] : [];
      const answers = { config: { stderr }, "stack output": { stderr } };
      const run = await runCli([name, "test", ...reason], answers, process.env["PATH"]);

      expect(run).toMatchObject({
        code: 3,
        stdout: expect.stringContaining("bob@desk (pid 7) since 2026-11-24T10:00:00Z") as string,
      });
    },
  );
});

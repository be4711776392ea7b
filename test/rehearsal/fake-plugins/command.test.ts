import { describe, expect, it } from "vitest";

import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { localCommand as local } from "../../../rehearsal/fake-plugins/command/command.ts";
import type { Properties } from "../../../rehearsal/fake-plugins/plugin.ts";
import { newCall } from "./new-call.ts";

describe("command.local.Command", () => {
  it("runs by the shell with its environment and input, and removes one newline from each output", async () => {
    const call = newCall();
    const inputs = {
      create: 'cat; echo "$A"; printf "err\\n\\n" >&2',
      stdin: "in\n",
      environment: { A: "value" },
    };

    const made = await local.create(call, inputs);

    expect(made.id).toMatch(/^subject[0-9a-f]{8}$/);
    expect(made.state).toEqual({ ...inputs, stdout: "in\nvalue", stderr: "err\n" });
    expect([...call.statuses].sort()).toEqual(["", "err", "in", "value"]);
  });

  it("fails with the script and its whole output", async () => {
    await expect(local.create(newCall(), { create: "echo out; exit 3", logging: "none" })).rejects.toThrow(
      'exit status 3: running "echo out; exit 3":\nout\n',
    );
  });

  it("runs no script in a preview", async () => {
    const inputs = { create: "exit 1", update: "exit 1" };
    const call = newCall({ preview: true });

    expect((await local.create(call, inputs)).state).toEqual({ ...inputs, stdout: UNKNOWN, stderr: UNKNOWN });
    expect(await local.update(call, { id: "x", state: { ...inputs, stdout: "old" } }, inputs)).toMatchObject({
      stdout: UNKNOWN,
    });
  });

  it("updates by its update script, else by create, and passes the last output to either", async () => {
    const existing = { id: "x", state: { create: "echo 1", stdout: "before", stderr: "" } };
    const show = 'echo "$PULUMI_COMMAND_STDOUT|${PULUMI_COMMAND_STDERR-unset}"';

    const byUpdate = await local.update(newCall(), existing, { create: "exit 1", update: show });
    const byCreate = await local.update(newCall(), existing, { create: show });
    const without = await local.update(newCall(), existing, { create: show, addPreviousOutputInEnv: false });

    expect(byUpdate.stdout).toBe("before|unset");
    expect(byCreate.stdout).toBe("before|unset");
    expect(without.stdout).toBe("|unset");
  });

  it("deletes by its delete script, and without one does nothing", async () => {
    const state = {
      create: "exit 1",
      delete: 'test "$PULUMI_COMMAND_STDOUT" = made || exit 9',
      stdout: "made",
    };

    await local.delete(newCall(), { id: "x", state });
    await local.delete(newCall(), { id: "x", state: { create: "exit 1" } });
    await expect(local.delete(newCall(), { id: "x", state: { ...state, stdout: "other" } })).rejects.toThrow(
      "exit status 9",
    );
  });

  it("is replaced by triggers and updated by any other input", () => {
    const state = { create: "true", triggers: [1, "a"], stdout: "", stderr: "" };
    const inputs = { create: "true", triggers: [1, "a"] };
    const changes = (change: Properties) => local.diff({ id: "x", state }, { ...inputs, ...change });

    expect(changes({})).toEqual([]);
    expect(changes({ triggers: [1, "b"] })).toEqual([
      { property: "triggers", kind: "update", replace: true },
    ]);
    expect(changes({ triggers: [1, UNKNOWN] })).toMatchObject([{ property: "triggers", replace: true }]);
    expect(changes({ create: "false", update: "true", environment: { A: "b" } })).toEqual([
      { property: "create", kind: "update", replace: false },
      { property: "update", kind: "add", replace: false },
      { property: "environment", kind: "add", replace: false },
    ]);
  });

  it("stops a script when the user cancels", async () => {
    const cancellation = new AbortController();
    const call = newCall({
      signal: cancellation.signal,
      status: () => {
        cancellation.abort();
      },
    });

    await expect(local.create(call, { create: "echo started; exec tail -f /dev/null" })).rejects.toThrow(
      /abort/i,
    );
  });

  it("reports the streams that logging names", async () => {
    const script = "echo out; echo err >&2";
    const shown = async (logging: string) => {
      const call = newCall();
      await local.create(call, { create: script, logging });
      return call.statuses;
    };

    expect(await shown("stdout")).toEqual(["out"]);
    expect(await shown("stderr")).toEqual(["err"]);
    expect(await shown("none")).toEqual([]);
  });

  it("fails on a long line while logging is on, where the official plugin hangs", async () => {
    const create = "head -c 70000 /dev/zero | tr '\\0' x";

    await expect(local.create(newCall(), { create })).rejects.toThrow("a line is longer than 64 KiB");
    const { state } = await local.create(newCall(), { create, logging: "none" });
    expect(state.stdout).toHaveLength(70_000);
  });

  it("refuses unknown inputs and inputs of another type", () => {
    expect(local.check({ create: 1, assetPaths: ["*"], logging: "loud", stdin: UNKNOWN })).toEqual([
      { property: "create", reason: "expected a string, got 1" },
      { property: "assetPaths", reason: "the rehearsal's command plugin does not have this input" },
      { property: "logging", reason: "expected one of stdout, stderr, stdoutAndStderr, none" },
    ]);
  });
});

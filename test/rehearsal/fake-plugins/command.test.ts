import { beforeEach, describe, expect, it, vi } from "vitest";

import { createCommandType } from "../../../rehearsal/fake-plugins/command/command.ts";
import { runLocally } from "../../../rehearsal/fake-plugins/command/local.ts";
import { checkConnection, runRemotely } from "../../../rehearsal/fake-plugins/command/remote.ts";
import { UNKNOWN, type Properties } from "../../../rehearsal/fake-plugins/plugin.ts";
import { newCall } from "./calls.ts";
import { newHostKey, startSshDouble, type SshDouble } from "./ssh-double.ts";

const local = createCommandType({ inputs: ["interpreter", "dir"], check: () => [], run: runLocally });
const remote = createCommandType({ inputs: ["connection"], check: checkConnection, run: runRemotely });

beforeEach(() => {
  // The agent of whoever runs the tests would be asked too.
  vi.stubEnv("SSH_AUTH_SOCK", "");
});

describe("command.local.Command", () => {
  it("runs by the shell with its environment and input, and cuts one newline off each output", async () => {
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

  it("fails with the script and all that it printed", async () => {
    await expect(local.create(newCall(), { create: "echo out; exit 3", logging: "none" })).rejects.toThrow(
      'exit status 3: running "echo out; exit 3":\nout\n',
    );
  });

  it("runs nothing in a preview", async () => {
    const inputs = { create: "exit 1", update: "exit 1" };
    const call = newCall({ preview: true });

    expect((await local.create(call, inputs)).state).toEqual({ ...inputs, stdout: UNKNOWN, stderr: UNKNOWN });
    expect(await local.update(call, { id: "x", state: { ...inputs, stdout: "old" } }, inputs)).toMatchObject({
      stdout: UNKNOWN,
    });
  });

  it("updates by its update script, else by create, and shows them the last output", async () => {
    const existing = { id: "x", state: { create: "echo 1", stdout: "before", stderr: "" } };
    const show = 'echo "$PULUMI_COMMAND_STDOUT|${PULUMI_COMMAND_STDERR-unset}"';

    const byUpdate = await local.update(newCall(), existing, { create: "exit 1", update: show });
    const byCreate = await local.update(newCall(), existing, { create: show });
    const without = await local.update(newCall(), existing, { create: show, addPreviousOutputInEnv: false });

    expect(byUpdate.stdout).toBe("before|unset");
    expect(byCreate.stdout).toBe("before|unset");
    expect(without.stdout).toBe("|unset");
  });

  it("deletes by its delete script, or by doing nothing", async () => {
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

  it("is replaced by triggers and updated by everything else", () => {
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

  it("shows the streams that logging names", async () => {
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

  it("fails where the official plugin hangs: on a long line while logging is on", async () => {
    const create = "head -c 70000 /dev/zero | tr '\\0' x";

    await expect(local.create(newCall(), { create })).rejects.toThrow("a line is longer than 64 KiB");
    const { state } = await local.create(newCall(), { create, logging: "none" });
    expect(state.stdout).toHaveLength(70_000);
  });

  it("fails when an input is none of its own or of another kind", () => {
    expect(local.check({ create: 1, assetPaths: ["*"], logging: "loud", stdin: UNKNOWN })).toEqual([
      { property: "create", reason: "expected a string, got 1" },
      { property: "assetPaths", reason: "the rehearsal's command plugin does not have this input" },
      { property: "logging", reason: "expected one of stdout, stderr, stdoutAndStderr, none" },
    ]);
  });
});

describe("command.remote.Command", () => {
  const connect = (server: SshDouble, change: Properties = {}): Properties => ({
    host: "127.0.0.1",
    port: server.port,
    user: "operator",
    privateKey: server.privateKey,
    hostKey: server.hostKey,
    dialErrorLimit: 0,
    ...change,
  });

  it("runs the script in one session of a host whose key it knows", async () => {
    await using server = await startSshDouble(({ stdin }) => ({
      stdout: `got ${stdin}\n`,
      stderr: "careful\n",
    }));

    const { state } = await remote.create(newCall(), {
      connection: connect(server),
      create: "run me",
      stdin: "secret",
    });

    expect(server.scripts).toEqual([{ script: "run me", environment: {}, stdin: "secret" }]);
    expect(state).toMatchObject({ stdout: "got secret", stderr: "careful" });
    expect(server.connections()).toBe(1);
  });

  it("fails with the script's exit code and output", async () => {
    await using server = await startSshDouble(() => ({ stderr: "no such thing\n", code: 4 }));

    await expect(remote.create(newCall(), { connection: connect(server), create: "false" })).rejects.toThrow(
      'Process exited with status 4: running "false":\nno such thing\n',
    );
  });

  it("fails when the host shows another key, and runs nothing there", async () => {
    await using server = await startSshDouble(() => ({}));
    const connection = connect(server, { hostKey: newHostKey() });

    await expect(remote.create(newCall(), { connection, create: "true" })).rejects.toThrow(
      "after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch",
    );
    expect(server.scripts).toEqual([]);
  });

  it("fails when it may not log in", async () => {
    await using server = await startSshDouble(() => ({}));
    const connection = connect(server, { user: "stranger" });

    await expect(remote.create(newCall(), { connection, create: "true" })).rejects.toThrow(
      /after 1 failed attempts: ssh: handshake failed: ssh: .*authentication/,
    );
  });

  it("dials once more than failures are tolerated", async () => {
    await using server = await startSshDouble(() => ({}));
    const connection = connect(server, { hostKey: newHostKey(), dialErrorLimit: 2 });

    await expect(remote.create(newCall(), { connection, create: "true" })).rejects.toThrow(
      "after 3 failed attempts",
    );
    expect(server.connections()).toBe(3);
  });

  it("fails with variables that the server does not accept, and passes the others on", async () => {
    await using server = await startSshDouble(() => ({}));
    const connection = connect(server);

    await expect(
      remote.create(newCall(), { connection, create: "true", environment: { FOO: "1" } }),
    ).rejects.toThrow('could not set environment variable "FOO": ssh: setenv failed');
    await remote.create(newCall(), { connection, create: "true", environment: { LC_ALL: "C" } });

    expect(server.scripts).toEqual([{ script: "true", environment: { LC_ALL: "C" }, stdin: "" }]);
  });

  it("warns when the server does not accept the last output, and goes on", async () => {
    await using server = await startSshDouble(() => ({ stdout: "second" }));
    const call = newCall();
    const existing = { id: "x", state: { stdout: "first", stderr: "" } };

    const state = await remote.update(call, existing, { connection: connect(server), create: "true" });

    expect(state.stdout).toBe("second");
    expect(call.warnings).toHaveLength(1);
    expect(call.warnings[0]).toContain("Unable to set 'PULUMI_COMMAND_STDOUT'");
  });

  it("fails at once when the agent's socket is dead", async () => {
    await using server = await startSshDouble(() => ({}));
    const connection = connect(server, { agentSocketPath: "/nonexistent/agent", dialErrorLimit: -1 });

    await expect(remote.create(newCall(), { connection, create: "true" })).rejects.toThrow(
      "dial unix /nonexistent/agent",
    );
  });

  it("fails without a host", () => {
    expect(remote.check({ connection: { user: "root" }, create: "true" })).toMatchObject([
      { property: "connection.host" },
    ]);
    expect(remote.check({ connection: UNKNOWN, create: "true" })).toEqual([]);
  });
});

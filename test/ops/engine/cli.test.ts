import { describe, expect, it } from "vitest";

import { LockHeld, NoSuchStack, PulumiFailure, readFailure } from "../../../ops/engine/cli.ts";

const failureOf = (stderr: string, stdout = "") =>
  readFailure(["up", "--yes", "--stack", "test"], { stdout, stderr });

describe("readFailure", () => {
  // What the CLI prints over a file backend.
  const LOCKED = [
    "error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.",
    "  file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7c.json?no_tmp_dir=true: created by runner@technicia-run-77-1 (pid 4242) at 2026-11-21T06:00:00+01:00",
    "  file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7d.json?no_tmp_dir=true: created by alice@laptop (pid 1) at 2026-11-21T06:01:00Z",
    "",
  ].join("\n");

  it("names the holders of every lock", () => {
    const failure = failureOf(LOCKED);

    expect(failure).toBeInstanceOf(LockHeld);
    expect((failure as LockHeld).locks).toEqual([
      {
        file: "file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7c.json?no_tmp_dir=true",
        user: "runner",
        host: "technicia-run-77-1",
        pid: 4242,
        since: "2026-11-21T06:00:00+01:00",
      },
      expect.objectContaining({ user: "alice", host: "laptop", pid: 1 }),
    ]);
  });

  it("names no holder where Pulumi Cloud refuses a second update", () => {
    const failure = failureOf("error: [409] Conflict: Another update is currently in progress.\n");

    expect(failure).toBeInstanceOf(LockHeld);
    expect((failure as LockHeld).locks).toEqual([]);
  });

  it("has a class of its own for a stack that does not exist", () => {
    const failure = failureOf("error: no stack named 'test' found");

    expect(failure).toBeInstanceOf(NoSuchStack);
    expect(failure.message).toBe(
      "test: there is no stack of that name; pulumi stack ls lists yours, and pulumi stack init test would create it",
    );
  });

  it.each([
    [
      "error: invalid YAML file: yaml: line 19: found character that cannot start any token\n",
      "line 19: found character that cannot start any token",
    ],
    [
      "error: getting stack configuration: invalid YAML file: yaml: invalid trailing UTF-8 octet\n",
      "invalid trailing UTF-8 octet",
    ],
    [
      'error: yaml: unmarshal errors:\n  line 20: mapping key "language" already defined at line 19\n  line 9: mapping key "a" already defined at line 8\n',
      'line 20: mapping key "language" already defined at line 19\n  line 9: mapping key "a" already defined at line 8',
    ],
  ])("names the settings file that Pulumi cannot read (%j)", (stderr, said) => {
    expect(failureOf(stderr).message).toBe(
      `Pulumi.test.yaml: expected YAML, got: ${said}; correct this there (spaces alone indent, and each key stands once), or take the file from git`,
    );
  });

  it("repeats the CLI's last lines for every other failure", () => {
    const failure = failureOf("error: disk full\n");

    expect(failure).not.toBeInstanceOf(NoSuchStack);
    expect(failure.message).toBe("pulumi up failed: error: disk full");
    expect(failureOf("").message).toBe("pulumi up failed: it printed nothing");
  });

  it("repeats the errors among the resources where the CLI gives none of its own", () => {
    const failure = failureOf(
      "",
      "Previewing\n  vps-server: error: vps-1: it is in rescue mode\n  1 error\n",
    );

    expect(failure.message).toBe("pulumi up failed: vps-server: error: vps-1: it is in rescue mode");
    expect(failureOf("", "Previewing\nkilled\n").message).toBe("pulumi up failed: Previewing\nkilled");
  });
});

describe("PulumiFailure", () => {
  it("gives each error of the engine once", () => {
    const failure = failureOf("error: disk full", "Updating\n  error: disk full\n  x: error: no answer\n");

    expect(failure.errors).toEqual(["error: disk full", "x: error: no answer"]);
    expect(new PulumiFailure("killed", { stdout: "", stderr: "" }).errors).toEqual(["killed"]);
    // What the engine says of each step that a failure has kept it from explains nothing.
    const unreached = "error: expected resource operations for urn:pulumi:test::x::y::z but none were seen";
    const stopped = new PulumiFailure("failed", { stdout: `${unreached}\nerror: no answer\n`, stderr: "" });
    expect(stopped.errors).toEqual(["error: no answer"]);
    expect(new PulumiFailure("failed", { stdout: unreached, stderr: "" }).errors).toEqual([unreached]);
  });
});

import { describe, expect, it } from "vitest";

import {
  LockHeld,
  PulumiFailure,
  readFailure,
  type Pulumi,
  type PulumiCall,
} from "../../../ops/engine/cli.ts";
import { judgeBy, releasingOwnLocks, type Judge, type Machine } from "../../../ops/engine/state-lock.ts";

// What the CLI 3.224.0 printed over a file backend.
const LOCKED = [
  "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.",
  "  file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7c.json?no_tmp_dir=true: created by runner@technicia-run-77-1 (pid 4242) at 2026-11-21T06:00:00+01:00",
  "",
].join("\n");
const LOCKED_TWICE = [
  "error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.",
  "  file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7c.json?no_tmp_dir=true: created by runner@technicia-run-77-1 (pid 4242) at 2026-11-21T06:00:00+01:00",
  "  file:///tmp/backend/.pulumi/locks/organization/technicia/test/0b7d.json?no_tmp_dir=true: created by alice@laptop (pid 1) at 2026-11-21T06:01:00Z",
  "",
].join("\n");
// Pulumi Cloud's, which names nobody.
const CONFLICT = [
  "error: [409] Conflict: Another update is currently in progress.",
  "To learn more about possible reasons and resolution, visit https://www.pulumi.com/docs/support/troubleshooting/common-issues/update-conflicts/",
].join("\n");

const UP: PulumiCall = { args: ["up", "--yes", "--stack", "test"] };

const dead: Judge = () => Promise.resolve({ isOursAndDead: true, because: "it is over" });

/** A CLI whose state is locked until somebody cancels. */
function lockedPulumi(stderr = LOCKED) {
  const calls: string[] = [];
  let isLocked = true;
  const pulumi: Pulumi = ({ args }) => {
    calls.push(args.join(" "));
    if (args[0] === "cancel") isLocked = false;
    else if (isLocked) return Promise.reject(readFailure(UP.args, { stdout: "", stderr }));
    return Promise.resolve("done");
  };
  return { calls, pulumi };
}

describe("releasingOwnLocks", () => {
  it("releases a dead lock of ours and does what it was asked", async () => {
    const { calls, pulumi } = lockedPulumi();
    const told: string[] = [];

    const result = await releasingOwnLocks(pulumi, dead, (line) => told.push(line))(UP);

    expect(result).toBe("done");
    expect(calls).toEqual([
      "up --yes --stack test",
      // Whether it is still the same lock.
      "up --yes --stack test",
      "cancel --yes --stack test",
      "up --yes --stack test",
    ]);
    expect(told).toEqual([
      "released the lock of runner@technicia-run-77-1 (pid 4242) since 2026-11-21T06:00:00+01:00: it is over; npm run resume -- test settles what it left pending",
    ]);
  });

  it("refuses another's lock, with its holder, its age and what to do", async () => {
    const { calls, pulumi } = lockedPulumi();
    const alive: Judge = () => Promise.resolve({ isOursAndDead: false, because: "it still runs" });

    await expect(releasingOwnLocks(pulumi, alive, () => undefined)(UP)).rejects.toThrow(
      "the state of stack test: another run holds it:\n" +
        "  runner@technicia-run-77-1 (pid 4242) since 2026-11-21T06:00:00+01:00: it still runs\n" +
        "wait for it to end; if nothing runs any more, release it with pulumi cancel --stack test",
    );
    expect(calls).toEqual(["up --yes --stack test"]);
  });

  it("releases nothing when one of two locks is another's, because cancelling takes both", async () => {
    const { calls, pulumi } = lockedPulumi(LOCKED_TWICE);
    const onlyRunner: Judge = (_stack, { user }) =>
      Promise.resolve({ isOursAndDead: user === "runner", because: user === "runner" ? "over" : "another" });

    await expect(releasingOwnLocks(pulumi, onlyRunner, () => undefined)(UP)).rejects.toThrow(
      /alice@laptop \(pid 1\)/,
    );
    expect(calls).toEqual(["up --yes --stack test"]);
  });

  it("never releases a stack of Pulumi Cloud", async () => {
    const { calls, pulumi } = lockedPulumi(CONFLICT);

    await expect(releasingOwnLocks(pulumi, dead, () => undefined)(UP)).rejects.toThrow(
      "the state of stack test: another run holds it, and the backend does not name it; wait for it to end",
    );
    expect(calls).toEqual(["up --yes --stack test"]);
  });

  it("does not try a third time when the state is locked again", async () => {
    const calls: string[] = [];
    const pulumi: Pulumi = ({ args }) => {
      calls.push(args[0] ?? "");
      if (args[0] === "cancel") return Promise.resolve("");
      return Promise.reject(readFailure(UP.args, { stdout: "", stderr: LOCKED }));
    };

    await expect(releasingOwnLocks(pulumi, dead, () => undefined)(UP)).rejects.toThrow(LockHeld);
    expect(calls).toEqual(["up", "up", "cancel", "up"]);
  });

  it("cancels nothing when the lock has changed hands while it was judged", async () => {
    const calls: string[] = [];
    const pulumi: Pulumi = ({ args }) => {
      calls.push(args[0] ?? "");
      const stderr = calls.length === 1 ? LOCKED : LOCKED_TWICE;
      return Promise.reject(readFailure(UP.args, { stdout: "", stderr }));
    };

    await expect(releasingOwnLocks(pulumi, dead, () => undefined)(UP)).rejects.toThrow(LockHeld);
    expect(calls).toEqual(["up", "up"]);
  });

  it("cancels nothing when the lock was released while it was judged", async () => {
    const calls: string[] = [];
    const pulumi: Pulumi = ({ args }) => {
      calls.push(args[0] ?? "");
      if (calls.length > 1) return Promise.resolve("done");
      return Promise.reject(readFailure(UP.args, { stdout: "", stderr: LOCKED }));
    };

    expect(await releasingOwnLocks(pulumi, dead, () => undefined)(UP)).toBe("done");
    expect(calls).toEqual(["up", "up"]);
  });

  it("passes every other failure on", async () => {
    const failure = new PulumiFailure("pulumi up failed: no", { stdout: "", stderr: "error: no" });

    await expect(
      releasingOwnLocks(
        () => Promise.reject(failure),
        dead,
        () => undefined,
      )(UP),
    ).rejects.toBe(failure);
  });
});

describe("judgeBy", () => {
  const runs: Readonly<Record<number, "running" | "ended">> = { 10: "running", 99: "ended" };
  const machine: Machine = {
    host: "laptop",
    user: "alice",
    findRun: ({ stack, pid }) => (stack === "test" ? runs[pid] : undefined),
  };
  const lock = (changed: object) => ({
    file: "f",
    user: "alice",
    host: "laptop",
    pid: 99,
    since: "2026-11-21T06:00:00+01:00",
    ...changed,
  });
  const statuses = new Map([
    ["77/1", "completed"],
    ["77/2", "in_progress"],
  ]);
  const judge = judgeBy(machine, ({ id, attempt }) => Promise.resolve(statuses.get(`${id}/${attempt}`)));

  it.each([
    ["a process of ours on this machine that is gone", {}],
    ["an attempt of a run of this repository that is over", { user: "runner", host: "technicia-run-77-1" }],
  ])("knows as ours and dead %s", async (_what, changed) => {
    expect(await judge("test", lock(changed))).toMatchObject({ isOursAndDead: true });
  });

  it.each([
    ["a pulumi that still runs here", { pid: 10 }, "it still runs on this machine"],
    [
      "a process that no command of ours started here, such as one in a container with this host's name",
      { pid: 11 },
      "no command of this project started it here, so whether it still runs is not known",
    ],
    ["another user's", { user: "bob" }, "another user of this machine"],
    ["another machine's", { host: "desktop" }, "another machine, which cannot be asked"],
    ["a machine of the name that all have", { host: "localhost" }, "another machine, which cannot be asked"],
    [
      "an attempt that still runs",
      { host: "technicia-run-77-2" },
      "workflow run 77, attempt 2 of this repository is in_progress",
    ],
    [
      "a run of another repository",
      { host: "technicia-run-78-1" },
      "workflow run 78, attempt 1, which this repository does not have",
    ],
    [
      "a name that only looks like a run's",
      { host: "technicia-run-77-1.example" },
      "another machine, which cannot be asked",
    ],
  ])("leaves %s", async (_what, changed, because) => {
    expect(await judge("test", lock(changed))).toEqual({ isOursAndDead: false, because });
  });

  it("leaves a run that it cannot ask GitHub about", async () => {
    expect(await judgeBy(machine, undefined)("test", lock({ host: "technicia-run-77-1" }))).toEqual({
      isOursAndDead: false,
      because: "workflow run 77, attempt 1, and GitHub cannot be asked about it from here",
    });
  });
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { identify, isAlive, readRevision } from "../../../ops/server/identity.ts";
import { until } from "../../support/host.ts";

const machine = { user: "alice", host: "laptop", process: 7 };

describe("identify", () => {
  it("names the user and the machine", () => {
    expect(identify({ ...machine, variables: {} })).toEqual({ who: "alice@laptop", run: "", process: 7 });
  });

  it("names who started the run, and the run, in GitHub's CI", () => {
    const variables = {
      GITHUB_ACTIONS: "true",
      GITHUB_ACTOR: "bob",
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_REPOSITORY: "team/technicia",
      GITHUB_RUN_ID: "42",
    };

    expect(identify({ ...machine, variables })).toEqual({
      who: "bob@github",
      run: "https://github.com/team/technicia/actions/runs/42",
      process: 7,
    });
  });
});

describe("readRevision", () => {
  const git = (status: string) => (args: readonly string[]) =>
    Promise.resolve({ "rev-parse": "abc\n", status, log: "Subject\n" }[args[0] ?? ""] ?? "");

  it("gives the commit and its subject", async () => {
    expect(await readRevision(git(""))).toEqual({ revision: "abc", subject: "Subject" });
  });

  it("marks files that differ from it", async () => {
    expect((await readRevision(git(" M README.md\n"))).revision).toBe("abc+");
  });
});

describe("isAlive", () => {
  it("is true of a process that runs, and of another user's", () => {
    expect([process.pid, 1].map(isAlive)).toEqual([true, true]);
  });

  it("is false of one that has ended, also before its parent has taken note", async () => {
    // What bash turns into here asks after no child of bash's.
    const parent = spawn("bash", ["-c", "sleep 0 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [printed] = (await once(parent.stdout.setEncoding("utf8"), "data")) as [string];
    const pid = Number(printed);
    await until("it has ended", () =>
      Promise.resolve(/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))),
    );

    expect(isAlive(pid)).toBe(false);
    parent.kill();
    await once(parent, "close");
    expect(isAlive(parent.pid ?? 0)).toBe(false);
  });
});

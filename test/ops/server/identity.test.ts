import { describe, expect, it } from "vitest";

import { identify, readRevision } from "../../../ops/server/identity.ts";

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

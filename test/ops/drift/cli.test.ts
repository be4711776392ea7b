import { describe, expect, it } from "vitest";

import { driftReport } from "../../../ops/drift/report.ts";
import { runCli } from "../../support/fake-pulumi.ts";
import { stateOf } from "./world.ts";

const urn = "urn:pulumi:test::technicia::technicia:ovh:Vps::vps-server";
const state = stateOf([{ urn, type: "technicia:ovh:Vps" }]);
state.deployment.resources = state.deployment.resources.filter(
  ({ type }) => type !== "pulumi:providers:technicia",
);

const answers = { "stack export": state, refresh: "", preview: "", config: {} };

describe("npm run drift", () => {
  it("fails when the engine says nothing about a resource", async () => {
    const { code, stdout, stderr, calls } = await runCli(["drift", "test", "--json"], answers);
    const report = driftReport.parse(JSON.parse(stdout));

    expect([code, stderr]).toEqual([1, ""]);
    expect(report).toMatchObject({ stack: "test", outcome: "failed", findings: [] });
    expect(report.gaps.map(({ what }) => what)).toEqual([
      "the server and everything on it",
      "vps-server",
      "what the program declares",
      "DNS records that nobody declared",
    ]);
    expect(calls.map(({ args }) => args[0])).not.toContain("up");
  });

  it("repairs nothing that could not be read", async () => {
    const { code, stderr, calls } = await runCli(["drift", "test", "--repair", "--yes"], answers);

    expect(code).toBe(1);
    expect(stderr).toContain("nothing that was found can be repaired from here");
    expect(calls.map(({ args }) => args[0])).not.toContain("up");
  });

  it("reports a stack that does not exist", async () => {
    const { code, stderr } = await runCli(["drift", "staging"], {
      "stack export": { stderr: "error: no stack named 'staging' found" },
    });

    expect([code, stderr.split(";")[0]]).toEqual([1, "staging: there is no stack of that name"]);
  });

  it("checks the variables for an issue before it reads anything", async () => {
    const { code, stderr, calls } = await runCli(["drift", "test", "--issue"], answers);

    expect(code).toBe(1);
    expect(stderr).toContain("GITHUB_TOKEN: expected a token, got nothing");
    expect(calls).toEqual([]);
  });

  it("fails when no stack is named, and shows how to name one", async () => {
    const { code, stderr } = await runCli(["drift"], answers);

    expect(code).toBe(1);
    expect(stderr).toContain(
      "usage: npm run drift -- <stack> [--json] [--repair [--yes] [--with-changes]] [--issue]",
    );
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { STATE } from "../../rehearsal/addresses.ts";
import { ensureStarted, npm, onServer, pulumi } from "./rehearsal.ts";

beforeAll(ensureStarted);
afterAll(async () => {
  await npm("run", "rehearsal:stop");
});

describe("destroy", () => {
  it("leaves nothing of ours on the server, in DNS or in the state, and the contract alone", async () => {
    const { code, stdout, stderr } = await pulumi("destroy", "--yes", "--skip-preview");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    // A warning that every destroy prints hides the one that matters.
    expect(stdout).not.toContain("onChange failed");

    expect(await onServer("docker ps --all --quiet; docker volume ls --quiet | grep technicia || true")).toBe(
      "",
    );
    expect(await onServer("nft list tables")).not.toContain("inet technicia");
    const state = JSON.parse((await pulumi("stack", "export")).stdout) as {
      deployment: { resources?: unknown[] };
    };
    expect(state.deployment.resources ?? []).toHaveLength(0);
    const backups = readdirSync(join(STATE, "backend", ".pulumi"));
    expect(backups).toContain("stacks");
    expect(readFileSync(join(STATE, "clouds", "state.json"), "utf8")).toContain("vps");
  });
});

import { describe, expect, it } from "vitest";

import { dataWarnings } from "../../../ops/deploy/restore.ts";

const warnings = (from: string, to: string) => dataWarnings({ postgres: to }, { postgres: from });

describe("dataWarnings", () => {
  it.each([
    ["17.9", "17.9"],
    ["17.8", "17.10"],
    ["v1.19.0-unprivileged", "v1.19.0"],
    ["16.4-bookworm", "17.1-bookworm"],
  ])("says nothing when the version goes from %s to %s", (from, to) => {
    expect(warnings(`postgres:${from}`, `postgres:${to}`)).toEqual([]);
  });

  it.each([
    ["17.10", "17.9"],
    ["v1.19.0", "v1.18.4"],
    ["17.9", "17"],
    ["17.9", `sha256:${"0".repeat(64)}`],
  ])("warns when the version goes from %s back to %s", (from, to) => {
    const image = to.startsWith("sha256") ? `postgres@${to}` : `postgres:${to}`;

    expect(warnings(`postgres:${from}`, image)).toEqual([
      `postgres goes back from ${from} to ${to}, but its data stays in the format of ${from}`,
    ]);
  });

  it("says nothing of programs that keep no data", () => {
    expect(dataWarnings({ gateway: "nginx:1.29.0" }, { gateway: "nginx:1.30.4" })).toEqual([]);
  });
});

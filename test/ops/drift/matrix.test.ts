import { spawnSync } from "node:child_process";

import { describe, expect, it } from "vitest";

import { layers } from "../../../stacks/resource-kinds.ts";
import { DRIFTS } from "../../e2e/drifts.ts";

const CALL = /^(PATCH|PUT|POST|DELETE) \/(ovh|cloudflare)\/\S+(?: \S+\})?(\/\S+)?( \{.*\})?$/;

describe("the matrix of drifts", () => {
  it("tampers in forty ways at least, in every layer, each under a name of its own", () => {
    expect(DRIFTS.length).toBeGreaterThanOrEqual(40);
    expect(new Set(DRIFTS.map(({ name }) => name)).size).toBe(DRIFTS.length);
    expect(new Set(DRIFTS.map(({ layer }) => layer))).toEqual(
      new Set(layers.filter((layer) => layer !== "checks" && layer !== "other")),
    );
  });

  it("expects something of each, in its own layer first", () => {
    const strays = DRIFTS.filter(
      ({ layer, expect: patterns }) => !patterns[0]?.source.startsWith(`^${layer} `),
    );

    expect(strays.map(({ name }) => name)).toEqual([]);
  });

  it.each(DRIFTS)("has a command that can be read where $name", ({ tamper: { where, command } }) => {
    if (where === "ovh" || where === "cloudflare") {
      expect(command).toMatch(CALL);
      const [body] = /\{".*\}$/.exec(command) ?? ["{}"];
      expect(() => JSON.parse(body) as unknown).not.toThrow();
      return;
    }
    const { status, stderr } = spawnSync("bash", ["-n"], { input: command, encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
  });
});

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { LONG_PARTS } from "./long-parts.ts";

const ROOT = join(import.meta.dirname, "..");
const files = globSync("test/**/*.long.test.ts", { cwd: ROOT });

describe("the parts of the long tests", () => {
  it.each(files)("have %s in exactly one of them", (file) => {
    const parts = Object.values(LONG_PARTS).filter((paths) => paths.some((path) => file.startsWith(path)));

    expect(parts).toHaveLength(1);
  });

  it.each(Object.values(LONG_PARTS).flat())("name no path without a file: %s", (path) => {
    expect(files.filter((file) => file.startsWith(path))).not.toEqual([]);
  });

  it("are all run by CI every night, at most an hour each", () => {
    const { jobs } = parse(readFileSync(join(ROOT, ".github/workflows/ci.yml"), "utf8")) as {
      jobs: { long: { strategy: { matrix: { part: string[] } }; "timeout-minutes": number } };
    };

    expect(jobs.long.strategy.matrix.part).toEqual(Object.keys(LONG_PARTS));
    // The set-up comes on top.
    expect(jobs.long["timeout-minutes"]).toBe(90);
  });
});

import { describe, expect, it } from "vitest";

import { dataStays, dataSteps, stepsBack, stepsBegun } from "../../../ops/deploy/data.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const steps = (from: string, to: string) => dataSteps({ postgres: from }, { postgres: to });

describe("dataSteps", () => {
  it.each([
    ["postgres:17.9", "postgres:17.9"],
    ["postgres:17.9-bookworm", "postgres:17.9-trixie"],
    [`postgres:17.9@${digest("a")}`, "postgres:17.9"],
    // Built again from the same version.
    [`postgres:17.9@${digest("a")}`, `postgres:17.9@${digest("b")}`],
    [`postgres:17@${digest("a")}`, `postgres:17@${digest("a")}`],
    [`postgres@${digest("a")}`, `other/postgres@${digest("a")}`],
  ])("sees the same version in %s and %s", (from, to) => {
    expect(steps(from, to)).toEqual([]);
  });

  it.each([
    ["postgres:17.8", "postgres:17.9"],
    ["postgres:17.9", "postgres:17.8"],
    // A tag that moves, and a digest alone, do not say their version.
    [`postgres:17@${digest("a")}`, `postgres:17@${digest("b")}`],
    [`postgres:17@${digest("a")}`, "postgres:17"],
    ["postgres:17.9", `postgres@${digest("a")}`],
  ])("sees another version, or takes it for one, in %s and %s", (from, to) => {
    expect(steps(from, to)).toHaveLength(1);
  });

  it("knows n8n, Qdrant and PostgreSQL, and no program without data", () => {
    const before = { n8n: "n8nio/n8n:2.40.0", qdrant: "qdrant/qdrant:v1.18.0", gateway: "nginx:1.29.0" };
    const after = { n8n: "n8nio/n8n:2.41.3", qdrant: "qdrant/qdrant:v1.19.0", gateway: "nginx:1.30.4" };

    expect(dataSteps(before, after)).toEqual([
      { service: "n8n", from: "2.40.0", to: "2.41.3" },
      { service: "qdrant", from: "v1.18.0", to: "v1.19.0" },
    ]);
  });

  it("says nothing of a program that is new, or gone", () => {
    expect(dataSteps({}, { postgres: "postgres:17.9" })).toEqual([]);
    expect(dataSteps({ postgres: "postgres:17.9" }, {})).toEqual([]);
  });
});

describe("stepsBack", () => {
  it.each([
    ["17.8", "17.10"],
    ["16.4-bookworm", "17.1-bookworm"],
  ])("lets a program go on from %s to %s", (from, to) => {
    expect(stepsBack(steps(`postgres:${from}`, `postgres:${to}`))).toEqual([]);
  });

  it.each([
    ["postgres:17.10", "postgres:17.9"],
    ["postgres:17.9", "postgres:17"],
    ["postgres:17.9", `postgres@${digest("0")}`],
    ["postgres:latest", "postgres:17.9"],
  ])("does not let it go, as far as anybody knows, from %s to %s", (from, to) => {
    expect(stepsBack(steps(from, to))).toHaveLength(1);
  });

  it("says that the data stays", () => {
    expect(dataStays(steps("postgres:17.10", "postgres:17.9"))).toEqual([
      "PostgreSQL goes back from 17.10 to 17.9, but its data stays in the format of 17.10: " +
        "the older version may not start, or may damage what it does not understand",
    ]);
  });
});

describe("stepsBegun", () => {
  const step = { service: "qdrant", from: "v1.18.0", to: "v1.19.0" } as const;

  it("knows whether an update that ended half way had come to the program", () => {
    expect(stepsBegun([step], ["technicia-qdrant-service"])).toEqual([step]);
    expect(stepsBegun([step], ["image-qdrant", "technicia-n8n-service"])).toEqual([]);
  });

  it("takes it for begun where a killed engine left that open", () => {
    expect(stepsBegun([step], [""])).toEqual([step]);
  });
});

/** Every drift of the matrix, together with others that it cannot hide. */
import { beforeAll, describe, expect, it } from "vitest";

import { batchesOf, namesOf } from "./drift-batches.ts";
import { ABSORPTIONS, expectFoundAndRepaired, expectLeftAlone, expectNoDrift } from "./drift-check.ts";
import { ABSORBED, type Drift, DRIFTS, FOREIGN_RECORDS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

const named = (drifts: readonly Drift[]) =>
  batchesOf(drifts).map((batch) => [namesOf(batch), batch] as const);

describe("drift", () => {
  it("has a matrix of at least 40 ways", () => {
    expect(DRIFTS.length).toBeGreaterThanOrEqual(40);
  });

  it("does not exist after a deployment", expectNoDrift);

  it.each(named(DRIFTS))("is found and repaired where %s", (_, drifts) => expectFoundAndRepaired(drifts));

  it.each(named(ABSORBED))("is found after a refresh has taken it in where %s", (_, drifts) =>
    expectFoundAndRepaired(drifts, ABSORPTIONS["a refresh"]),
  );

  const others = Object.entries(ABSORPTIONS).filter(([name]) => name !== "a refresh");
  it.each(others)("is found after %s", async (_, absorb) => {
    for (const drifts of batchesOf(ABSORBED)) await expectFoundAndRepaired(drifts, absorb);
  });

  it("is no record of somebody else's", () => expectLeftAlone(FOREIGN_RECORDS));
});

/** Every drift of the matrix, together with others that it cannot hide. */
import { beforeAll, describe, expect, it } from "vitest";

import { namedBatches } from "./drift-batches.ts";
import { expectFoundAndRepaired, expectLeftAlone, expectNoDrift } from "./drift-check.ts";
import { DRIFTS, FOREIGN_RECORDS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

describe("drift", () => {
  it("has a matrix of at least 40 ways", () => {
    expect(DRIFTS.length).toBeGreaterThanOrEqual(40);
  });

  it("does not exist after a deployment", expectNoDrift);

  it.each(namedBatches(DRIFTS))("is found and repaired where %s", (_, drifts) =>
    expectFoundAndRepaired(drifts),
  );

  it("is no record of somebody else's", () => expectLeftAlone(FOREIGN_RECORDS));
});

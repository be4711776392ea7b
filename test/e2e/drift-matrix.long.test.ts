/** Every drift of the matrix, alone on a clean environment. */
import { beforeAll, describe, expect, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

describe("drift", () => {
  it("has a matrix of at least 40 ways", () => {
    expect(DRIFTS.length).toBeGreaterThanOrEqual(40);
  });

  it("does not exist after a deployment", expectNoDrift);

  it.each(DRIFTS)("is found and repaired where $name", expectFoundAndRepaired);
});

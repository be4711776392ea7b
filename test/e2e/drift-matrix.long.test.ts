/** Every drift of the matrix, alone on a clean environment. */
import { beforeAll, describe, expect, it } from "vitest";

import { ABSORPTIONS, expectFoundAndRepaired, expectLeftAlone, expectNoDrift } from "./drift-check.ts";
import { ABSORBED, DRIFTS, FOREIGN_RECORDS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

describe("drift", () => {
  it("has a matrix of at least 40 ways", () => {
    expect(DRIFTS.length).toBeGreaterThanOrEqual(40);
  });

  it("does not exist after a deployment", expectNoDrift);

  it.each(DRIFTS)("is found and repaired where $name", (drift) => expectFoundAndRepaired(drift));

  it.each(ABSORBED)("is found after a refresh has taken it in where $name", (drift) =>
    expectFoundAndRepaired(drift, ABSORPTIONS["a refresh"]),
  );

  const others = Object.entries(ABSORPTIONS).filter(([name]) => name !== "a refresh");
  it.each(others)("is found after %s", async (_, absorb) => {
    for (const drift of ABSORBED.slice(0, 6)) await expectFoundAndRepaired(drift, absorb);
  });

  it("is no record of somebody else's", () => expectLeftAlone(FOREIGN_RECORDS));
});

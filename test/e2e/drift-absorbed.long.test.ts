/** Drifts that the state has taken in, so that it agrees with what exists: the program alone tells that they are there. */
import { beforeAll, describe, it } from "vitest";

import { namedBatches } from "./drift-batches.ts";
import { ABSORPTIONS, expectFoundAndRepaired } from "./drift-check.ts";
import { ABSORBED } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

const { "a refresh": refresh, ...others } = ABSORPTIONS;

describe("drift", () => {
  it.each(namedBatches(ABSORBED))("is found after a refresh has taken it in where %s", (_, drifts) =>
    expectFoundAndRepaired(drifts, refresh),
  );

  // What takes minutes by itself is taken in as the rest is.
  const rest = namedBatches(ABSORBED.filter(({ alone }) => alone !== true));
  describe.each(Object.entries(others))("after %s", (_name, absorb) => {
    it.each(rest)("is found where %s", (_, drifts) => expectFoundAndRepaired(drifts, absorb));
  });
});

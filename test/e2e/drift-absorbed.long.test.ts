/** Drifts that the state has taken in, so that it agrees with what exists: the program alone tells that they are there. */
import { beforeAll, describe, it } from "vitest";

import { batchesOf, namesOf } from "./drift-batches.ts";
import { ABSORPTIONS, expectFoundAndRepaired } from "./drift-check.ts";
import { ABSORBED, type Drift } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

beforeAll(ensureStarted);

const { "a refresh": refresh, ...others } = ABSORPTIONS;

const named = (drifts: readonly Drift[]) =>
  batchesOf(drifts).map((batch) => [namesOf(batch), batch] as const);

describe("drift", () => {
  it.each(named(ABSORBED))("is found after a refresh has taken it in where %s", (_, drifts) =>
    expectFoundAndRepaired(drifts, refresh),
  );

  // What takes minutes by itself is taken in as the rest is.
  const rest = named(ABSORBED.filter(({ alone }) => alone !== true));
  describe.each(Object.entries(others))("after %s", (_name, absorb) => {
    it.each(rest)("is found where %s", (_, drifts) => expectFoundAndRepaired(drifts, absorb));
  });
});

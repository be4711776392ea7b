/** One drift of the layers that only the rehearsal has whole; test/long/drift.test.ts has every drift. */
import { beforeAll, describe, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

const SOME = ["host", "containers", "dns"].flatMap(
  (wanted) => DRIFTS.find(({ layer }) => layer === wanted) ?? [],
);

beforeAll(ensureStarted);

describe("drift", () => {
  it("is none after a deployment", expectNoDrift);

  it.each(SOME)("is found and repaired where $name", expectFoundAndRepaired);
});

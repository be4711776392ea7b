/** One drift of each layer; test/long/drift.test.ts has all. */
import { beforeAll, describe, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

const ONE_OF_EACH = [...Map.groupBy(DRIFTS, ({ layer }) => layer).values()].map(([first]) => first!);

beforeAll(ensureStarted);

describe("drift", () => {
  it("is none after a deployment", expectNoDrift);

  it.each(ONE_OF_EACH)("is found and repaired where $name", expectFoundAndRepaired);
});

/** A drift on the server and one at a vendor; test/long/drift.test.ts has every drift. */
import { beforeAll, describe, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted } from "./rehearsal.ts";

const SOME = DRIFTS.filter(({ name }) =>
  ["the kernel's settings are edited", "the A record leads elsewhere"].includes(name),
);

beforeAll(ensureStarted);

describe("drift", () => {
  it("is none after a deployment", expectNoDrift);

  it.each(SOME)("is found and repaired where $name", expectFoundAndRepaired);
});

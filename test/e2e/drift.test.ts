/** A drift on the server; test/long/drift.test.ts has every drift, and the README's commands a check that finds none. */
import { beforeAll, describe, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted, withFewLogins } from "./rehearsal.ts";

const ONE = DRIFTS.filter(({ name }) => name === "the kernel's settings are edited");

beforeAll(ensureStarted);

describe("drift", () => {
  it("is looked for with few logins", () => withFewLogins(expectNoDrift));

  it.each(ONE)("is found and repaired where $name", expectFoundAndRepaired);
});

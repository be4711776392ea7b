/** A drift on the server; test/e2e/drift-matrix.long.test.ts has every drift, and the README's commands a check that finds none. */
import { beforeAll, describe, expect, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted, operator, withFewLogins } from "./rehearsal.ts";

const ONE = DRIFTS.filter(({ name }) => name === "the kernel's settings are edited");

beforeAll(ensureStarted);

describe("drift", () => {
  it("is checked with at most three logins", () => withFewLogins(expectNoDrift));

  it("is checked by a preview with at most three logins", async () => {
    const preview = ["npm", "run", "--silent", "preview", "--", "test", "--refresh"];
    const { code, stdout, stderr } = await withFewLogins(() => operator(preview));

    expect(code, stderr).toBe(0);
    expect(stdout).not.toContain("The host was not read");
  });

  it.each(ONE)("is found and repaired where $name", (drift) => expectFoundAndRepaired([drift]));
});

/** A drift on the server and one in n8n; test/e2e/drift-matrix.long.test.ts has every drift, and the README's commands a check that finds none. */
import { beforeAll, describe, expect, it } from "vitest";

import { expectFoundAndRepaired, expectNoDrift } from "./drift-check.ts";
import { DRIFTS } from "./drifts.ts";
import { ensureStarted, operator, withFewLogins } from "./rehearsal.ts";

const TWO = DRIFTS.filter(({ name }) =>
  ["the kernel's settings are edited", "a node of a workflow is edited"].includes(name),
);

beforeAll(ensureStarted);

describe("drift", () => {
  it("is checked with at most three logins", () => withFewLogins(expectNoDrift));

  it("is checked by a preview with at most three logins", async () => {
    const preview = ["npm", "run", "--silent", "preview", "--", "test", "--refresh"];
    const { code, stdout, stderr } = await withFewLogins(() => operator(preview));

    expect(code, stderr).toBe(0);
    expect(stdout).not.toContain("The host was not read");
  });

  it("is found and repaired where the kernel's settings and a workflow are edited", () =>
    expectFoundAndRepaired(TWO));
});

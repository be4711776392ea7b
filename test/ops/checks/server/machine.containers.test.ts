import { describe, expect, it } from "vitest";

import { checkRoom } from "../../../../ops/checks/server/machine.ts";
import { localServer } from "../fixtures.ts";
import { environmentWith } from "../../../support/fixtures.ts";

describe("checkRoom", () => {
  it("measures a real machine with Docker", async () => {
    const found = await checkRoom({ server: localServer(), environment: environmentWith() });

    expect(found.measures?.["diskFreeMib"]).toBeGreaterThan(0);
    expect(found.measures?.["memoryAvailableMib"]).toBeGreaterThan(0);
    expect(found.measures?.["diskFreePercent"]).toBeLessThan(100);
  });
});

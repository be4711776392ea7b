import { describe, expect, it } from "vitest";

import { maintenanceFindings } from "../../../ops/drift/maintenance.ts";

describe("maintenanceFindings", () => {
  const none = { security: [], engine: [], upgrades: [], reboot: undefined };

  it("has none for a server that is up to date", () => {
    expect(maintenanceFindings("test", none)).toEqual([]);
  });

  it("names what is pending, and the command that does it", () => {
    const engine = [{ package: "docker.io", installed: "1", available: "2" }];
    const repair = "nothing automatic: npm run maintain -- test does it inside the window";

    expect(maintenanceFindings("test", { ...none, engine, reboot: "kernel 1 runs, 2 is installed" })).toEqual(
      [
        {
          layer: "host",
          resource: "maintenance",
          what: "engine",
          expected: ["the newest version of its source"],
          found: ["docker.io 1 → 2"],
          repair,
        },
        {
          layer: "host",
          resource: "maintenance",
          what: "reboot",
          expected: ["not required"],
          found: ["kernel 1 runs, 2 is installed"],
          repair,
        },
      ],
    );
  });
});

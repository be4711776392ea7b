import { describe, expect, it } from "vitest";

import { maintenanceFindings } from "../../../ops/drift/maintenance.ts";

const REPAIR = "nothing automatic: npm run maintain -- test does it inside the window";

describe("maintenanceFindings", () => {
  const none = {
    ...{ security: [], engine: [], upgrades: [], kept: [] },
    ...{ broken: undefined, stale: undefined, reboot: undefined },
  };

  it("has none for a server that is up to date", () => {
    expect(maintenanceFindings({ stack: "test" }, none)).toEqual([]);
  });

  it("names what is pending, and the command that does it", () => {
    const engine = [{ package: "docker.io", installed: "1", available: "2" }];

    expect(
      maintenanceFindings({ stack: "test" }, { ...none, engine, reboot: "kernel 1 runs, 2 is installed" }),
    ).toEqual([
      {
        layer: "host",
        resource: "maintenance",
        what: "engine",
        expected: ["the newest version of its source"],
        found: ["docker.io 1 → 2"],
        repair: REPAIR,
      },
      {
        layer: "host",
        resource: "maintenance",
        what: "reboot",
        expected: ["not required"],
        found: ["kernel 1 runs, 2 is installed"],
        repair: REPAIR,
      },
    ]);
  });

  it("says what a maintenance leaves to a person", () => {
    const one = { package: "docker.io", installed: "1", available: "2" };
    const engine = [{ ...one, kept: "held" } as const, { ...one, package: "runc", kept: "removal" } as const];

    expect(maintenanceFindings({ stack: "test" }, { ...none, engine })).toMatchObject([
      {
        found: ["docker.io 1 → 2 (held)", "runc 1 → 2 (kept back)"],
        repair: `${REPAIR}; first release what is held, on the server: sudo apt-mark unhold docker.io; first look at what would have to be removed, on the server: sudo apt-get install runc`,
      },
    ]);
  });

  it("names one of several servers, and the command for it", () => {
    const reboot = "kernel 1 runs, 2 is installed";

    expect(maintenanceFindings({ stack: "test", server: "gra-2" }, { ...none, reboot })).toMatchObject([
      {
        resource: "gra-2/maintenance",
        repair: "nothing automatic: npm run maintain -- test --server gra-2 does it inside the window",
      },
    ]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { startWorld, type World } from "./world.ts";

const IP = "203.0.113.10";
export const RULES = [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { sequence: 1, action: "permit", protocol: "tcp", port: 22, source: "198.51.100.0/24" },
  { sequence: 2, action: "permit", protocol: "tcp", port: 443 },
  { sequence: 5, action: "permit", protocol: "udp", sourcePort: 53 },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];

let world: World;
beforeEach(async () => {
  world = await startWorld();
  world.ovh.addServer("vps-2027-model2", { ipv4: IP });
});
afterEach(() => world.end());

describe("EdgeFirewall", () => {
  it("is made, stays as it is, and is removed", async () => {
    const stack = world.edge();

    expect(await stack.up({ ip: IP, rules: RULES })).toBe("created");

    expect(world.ovh.state.firewalls[0]).toMatchObject({
      ip: IP,
      enabled: true,
      rules: RULES.map(({ sequence }) => ({ sequence })),
    });
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up({ ip: IP, rules: RULES })).toBe("same");
    await stack.destroy();
    expect(world.ovh.state.firewalls).toEqual([]);
  });
});

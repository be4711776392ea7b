import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ORDERED, PUBLIC_KEY } from "./given.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.end());

describe("Vps that is ordered", () => {
  it("is bought, named and installed once, and told in full", async () => {
    const stack = world.vps();

    await stack.up(ORDERED);

    const [order] = world.ovh.state.orders.filter(({ vps }) => vps);
    const [server] = world.ovh.state.servers;
    expect(order).toMatchObject({
      payments: 1,
      status: "delivered",
      vps: { planCode: "vps-2027-model2", datacentre: "GRA" },
    });
    expect(server).toMatchObject({
      displayName: "technicia-test",
      imageId: "Debian 12",
      publicKey: PUBLIC_KEY,
    });
    expect(stack.saved).toMatchObject({
      id: server?.serviceName,
      isPartial: false,
      outputs: {
        serviceName: server?.serviceName,
        ipv4: server?.ipv4,
        ipv6: server?.ipv6,
        vcore: 4,
        memoryMib: 8192,
        diskGib: 75,
        zone: "Region OpenStack: os-gra7",
        osImage: "Debian 12",
        state: "running",
        orderId: order?.orderId,
        plan: "vps-2027-model2",
        monthlyPriceEur: 8.79,
      },
    });
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up(ORDERED)).toBe("same");
  });
});

import { describe, expect, it } from "vitest";

import { Vps, type VpsArgs } from "../../infra/vps.ts";
import * as technicia from "../../provider/resources.ts";
import { register, valueOf } from "../support/engine.ts";
import { publicKey } from "../support/fixtures.ts";

function define(change: Partial<VpsArgs> = {}) {
  return register(
    () =>
      new Vps("vps", {
        cloud: new technicia.Connection("cloud", {}),
        displayName: "technicia-test",
        vcores: 4,
        memoryGib: 8,
        datacentre: "GRA",
        image: "Debian 12",
        publicKey,
        deleteAtExpiry: false,
        protect: true,
        source: { kind: "adopt", serviceName: "vps-1a2b3c4d.vps.ovh.net" },
        ...change,
      }),
  );
}

const wanted = {
  name: "technicia-test",
  vcores: 4,
  memoryGib: 8,
  datacentre: "GRA",
  image: "Debian 12",
  publicKey,
  deleteAtExpiry: false,
};

describe("Vps", () => {
  it("adopts the server that the settings name, and orders none", async () => {
    const { resource } = await define();

    expect(resource("vps-server").inputs).toEqual({ ...wanted, serviceName: "vps-1a2b3c4d.vps.ovh.net" });
  });

  it("orders a server on the terms of the settings, and names none", async () => {
    const order = { subsidiary: "FR", maxMonthlyPriceEur: 15 };
    const { resource } = await define({ source: { kind: "order", ...order } });

    expect(resource("vps-server").inputs).toEqual({ ...wanted, order });
  });

  it("is a resource of our own provider, because the official one orders twice", async () => {
    const { resource, registrations } = await define();

    expect(resource("vps-server")).toMatchObject({
      type: "technicia:ovh:Vps",
      provider: "cloud",
      parent: "vps",
    });
    expect(registrations.filter(({ type }) => type.startsWith("ovh:"))).toEqual([]);
  });

  it.each([true, false])("is protected when its arguments say so: %s", async (protect) => {
    const { resource } = await define({ protect });

    expect(resource("vps-server").protect).toBe(protect);
  });

  it("outputs the addresses and the server id that OVH reports", async () => {
    const { result, component, componentOutputs } = await define();
    const reported = { ipv4: "203.0.113.10", ipv6: "2001:db8:113::10", serverId: "disk-1" };

    expect(await valueOf(result.ipv4)).toBe(reported.ipv4);
    expect(await valueOf(result.ipv6)).toBe(reported.ipv6);
    expect(await valueOf(result.serverId)).toBe(reported.serverId);
    expect(componentOutputs[component("vps").urn]).toEqual(reported);
  });
});

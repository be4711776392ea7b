import * as docker from "@pulumi/docker";
import { describe, expect, it } from "vitest";

import { Networks } from "../../components/networks.ts";
import { register } from "../support/engine.ts";

const define = ({ isMonitored = false } = {}) =>
  register(() => new Networks("networks", { isMonitored }, { provider: new docker.Provider("host", {}) }));

describe("Networks", () => {
  it("are attachable overlays with fixed addresses, those for data and for runners internal", async () => {
    const { ofType } = await define();
    const overlay = { driver: "overlay", attachable: true };

    const addresses = (third: number) => [{ subnet: `172.31.${third}.0/24`, gateway: `172.31.${third}.1` }];

    expect(ofType("docker:index/network:Network").map(({ inputs }) => inputs)).toEqual([
      { ...overlay, name: "technicia-app", internal: false, ipamConfigs: addresses(1) },
      { ...overlay, name: "technicia-data", internal: true, ipamConfigs: addresses(2) },
      { ...overlay, name: "technicia-edge", internal: false, ipamConfigs: addresses(0) },
      { ...overlay, name: "technicia-runners", internal: true, ipamConfigs: addresses(3) },
    ]);
  });

  it("have two more with monitoring, of which one reaches the internet", async () => {
    const { resource, waitsFor } = await define({ isMonitored: true });

    expect(resource("technicia-monitoring").inputs).toMatchObject({
      internal: true,
      ipamConfigs: [{ subnet: "172.31.4.0/24", gateway: "172.31.4.1" }],
    });
    expect(resource("technicia-outside").inputs).toMatchObject({
      internal: false,
      ipamConfigs: [{ subnet: "172.31.5.0/24", gateway: "172.31.5.1" }],
    });
    expect(waitsFor("technicia-monitoring", "technicia-edge")).toBe(true);
  });

  it("lets one of them open the shared ssh connection before the others are created", async () => {
    const { waitsFor } = await define();

    expect(waitsFor("technicia-app", "technicia-edge")).toBe(true);
    expect(waitsFor("technicia-data", "technicia-edge")).toBe(true);
  });

  it("are created on the host", async () => {
    const { ofType } = await define();

    expect(ofType("docker:index/network:Network").map(({ provider }) => provider)).toEqual([
      "host",
      "host",
      "host",
      "host",
    ]);
  });
});

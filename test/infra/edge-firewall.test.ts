import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { EdgeFirewall, edgeRules } from "../../infra/edge-firewall.ts";
import * as technicia from "../../provider/resources.ts";
import { register } from "../support/engine.ts";

const networks = (count: number) => Array.from({ length: count }, (_, index) => `198.51.${index}.0/24`);

describe("edgeRules", () => {
  it("permits replies, ssh from the admin networks, the web, pings, DNS and NTP, and denies the rest", () => {
    expect(edgeRules([22], ["198.51.100.0/24", "192.0.2.7/32"])).toEqual([
      { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
      { sequence: 1, action: "permit", protocol: "tcp", port: 22, source: "198.51.100.0/24" },
      { sequence: 2, action: "permit", protocol: "tcp", port: 22, source: "192.0.2.7/32" },
      { sequence: 3, action: "permit", protocol: "tcp", port: 80 },
      { sequence: 4, action: "permit", protocol: "tcp", port: 443 },
      { sequence: 5, action: "permit", protocol: "icmp" },
      { sequence: 6, action: "permit", protocol: "udp", sourcePort: 53 },
      { sequence: 7, action: "permit", protocol: "udp", sourcePort: 123 },
      { sequence: 19, action: "deny", protocol: "ipv4" },
    ]);
  });

  it("permits ssh on another port when sshd listens there", () => {
    const ssh = edgeRules([2222], networks(1)).filter(({ source }) => source !== undefined);

    expect(ssh.map(({ port }) => port)).toEqual([2222]);
  });

  it("uses all twenty rules of OVH for thirteen admin networks, the deny last", () => {
    const rules = edgeRules([22], networks(13));

    expect(rules.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, place) => place));
    expect(rules.filter(({ action }) => action === "deny")).toEqual([rules[19]]);
  });
});

describe("edgeRules before a move of sshd's port", () => {
  it("admits every network to both ports, and half as many networks", () => {
    const ssh = edgeRules([22, 2222], networks(6)).filter(({ source }) => source !== undefined);

    expect(ssh.map(({ port }) => port)).toEqual([
      ...Array<number>(6).fill(22),
      ...Array<number>(6).fill(2222),
    ]);
  });
});

describe("EdgeFirewall", () => {
  it("is one resource with the whole list of rules", async () => {
    const { resource, registrations } = await register(() => {
      const cloud = new technicia.Connection("cloud", { ovhEndpoint: "ovh-eu" });
      new EdgeFirewall("edge-firewall", {
        cloud,
        ip: pulumi.output("203.0.113.10"),
        sshPorts: [22],
        adminCidrs: ["198.51.100.0/24"],
        addressService: "none",
      });
    });

    expect(registrations).toHaveLength(3);
    expect(resource("edge-firewall-rules")).toMatchObject({
      type: "technicia:ovh:EdgeFirewall",
      provider: "cloud",
      parent: "edge-firewall",
      inputs: {
        ip: "203.0.113.10",
        rules: edgeRules([22], ["198.51.100.0/24"]),
        guard: { sshPort: 22, seconds: 90, addressService: "none" },
      },
    });
  });
});

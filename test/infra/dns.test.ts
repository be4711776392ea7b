import { Provider as CloudflareProvider } from "@pulumi/cloudflare/provider.js";
import { Provider as OvhProvider } from "@ovhcloud/pulumi-ovh/provider.js";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { Dns, type DnsArgs, type DnsVendor } from "../../infra/dns.ts";
import type { DnsZone } from "../../provider/dns/records.ts";
import * as technicia from "../../provider/resources.ts";
import { register, UNKNOWN } from "../support/engine.ts";
import { orderedServer } from "./ordered-server.ts";

type Vendor = "cloudflare" | "ovh";

const emptyZone: DnsZone = { list: () => Promise.resolve([]), remove: () => Promise.resolve() };

function define(vendor: Vendor, change: Partial<DnsArgs> = {}) {
  return register(() => {
    const account = new OvhProvider("ovh", { endpoint: "ovh-eu" });
    const holder: DnsVendor =
      vendor === "ovh"
        ? { kind: "ovh", provider: account }
        : { kind: "cloudflare", provider: new CloudflareProvider("cloudflare", {}), zoneId: "0123" };
    return new Dns("dns", {
      vendor: holder,
      ovh: account,
      zone: "exemple.fr",
      names: ["technicia.exemple.fr"],
      ipv4: pulumi.output("203.0.113.10"),
      ttlSeconds: 300,
      zoneRecords: emptyZone,
      cloud: new technicia.Connection("cloud", { ovhEndpoint: "ovh-eu" }),
      caaIssuers: ["letsencrypt.org"],
      ...change,
    });
  });
}

describe("Dns at Cloudflare", () => {
  const common = { zoneId: "0123", name: "technicia.exemple.fr", ttl: 300, proxied: false };

  it("points every name to the IPv4 address and to no other, unproxied, under its full name", async () => {
    const { ofType } = await define("cloudflare", {
      names: ["technicia.exemple.fr", "n8n.technicia.exemple.fr"],
    });
    const editor = { ...common, name: "n8n.technicia.exemple.fr" };

    expect(ofType("cloudflare:index/dnsRecord:DnsRecord").map(({ name, inputs }) => [name, inputs])).toEqual([
      [
        "dns-caa-letsencrypt.org",
        { ...common, type: "CAA", data: { flags: 0, tag: "issue", value: "letsencrypt.org" } },
      ],
      ["dns-n8n.technicia-a", { ...editor, type: "A", content: "203.0.113.10" }],
      ["dns-technicia-a", { ...common, type: "A", content: "203.0.113.10" }],
    ]);
  });

  it("writes no CAA record when no authority is named", async () => {
    const { ofType } = await define("cloudflare", { caaIssuers: [] });

    expect(ofType("cloudflare:index/dnsRecord:DnsRecord").map(({ inputs }) => inputs["type"])).toEqual(["A"]);
  });
});

describe("Dns at OVH", () => {
  const common = { zone: "exemple.fr", subdomain: "technicia", ttl: 300 };

  it("writes the same records under names relative to the zone", async () => {
    const { ofType } = await define("ovh");

    expect(ofType("ovh:Domain/zoneRecord:ZoneRecord").map(({ name, inputs }) => [name, inputs])).toEqual([
      ["dns-caa-letsencrypt.org", { ...common, fieldtype: "CAA", target: '0 issue "letsencrypt.org"' }],
      ["dns-technicia-a", { ...common, fieldtype: "A", target: "203.0.113.10" }],
    ]);
  });

  it("names the zone itself by an empty subdomain", async () => {
    const { resource } = await define("ovh", { names: ["exemple.fr"] });

    expect(resource("dns-apex-a").inputs["subdomain"]).toBe("");
  });
});

describe.each<Vendor>(["cloudflare", "ovh"])("Dns at %s", (vendor) => {
  it("finds out which reverse name OVH accepts once the forward records exist, before the plugin asks for one", async () => {
    const { resource, waitsFor } = await define(vendor);

    expect(resource("dns-reverse-name")).toMatchObject({
      inputs: { ip: "203.0.113.10", name: "technicia.exemple.fr." },
      provider: "cloud",
    });
    expect(waitsFor("dns-reverse-name", "dns-technicia-a")).toBe(true);
    expect(waitsFor("dns-reverse-v4", "dns-reverse-name")).toBe(true);
  });

  it("sets the reverse name at OVH, with the trailing dot that the API returns", async () => {
    const { ofType } = await define(vendor);
    const common = { ReverseValue: "technicia.exemple.fr.", readinessTimeoutDuration: "5m" };

    expect(
      ofType("ovh:Ip/reverse:Reverse").map(({ name, inputs, provider }) => [name, provider, inputs]),
    ).toEqual([["dns-reverse-v4", "ovh", { ...common, ip: "203.0.113.10/32", ReverseIp: "203.0.113.10" }]]);
  });

  it("sets a reverse name only after the forward records exist", async () => {
    const { result, waitsFor } = await define(vendor);
    expect(result.records).toHaveLength(2);

    for (const record of ["dns-technicia-a", "dns-caa-letsencrypt.org"]) {
      expect(waitsFor("dns-reverse-v4", record), record).toBe(true);
    }
  });

  it("deletes a record before its replacement is created, or the deletion would remove the new one", async () => {
    const { registrations } = await define(vendor);
    const records = registrations.filter(
      ({ parent, type }) => parent === "dns" && type !== "technicia:ovh:ReverseName",
    );

    expect(records.map(({ deleteBeforeReplace }) => deleteBeforeReplace)).toEqual(Array(3).fill(true));
  });

  it("uses the vendor's own provider", async () => {
    const { resource } = await define(vendor);

    expect(resource("dns-technicia-a").provider).toBe(vendor);
  });

  it("shows every record in a preview that does not know the address yet", async () => {
    const preview = await register(
      () => {
        const account = new OvhProvider("ovh", { endpoint: "ovh-eu" });
        const { ipv4 } = new technicia.Vps("server", orderedServer);
        new Dns("dns", {
          vendor: { kind: "ovh", provider: account },
          ovh: account,
          zone: "exemple.fr",
          names: ["technicia.exemple.fr"],
          ipv4,
          ttlSeconds: 300,
          zoneRecords: emptyZone,
          cloud: new technicia.Connection("cloud", { ovhEndpoint: "ovh-eu" }),
          caaIssuers: ["letsencrypt.org"],
        });
      },
      { preview: true },
    );

    expect(preview.resource("dns-technicia-a").inputs["target"]).toBe(UNKNOWN);
    expect(preview.resource("dns-reverse-v4").inputs["ip"]).toBe(UNKNOWN);
  });
});

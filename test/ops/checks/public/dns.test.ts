import { Resolver } from "node:dns/promises";

import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { CheckContext } from "../../../../ops/checks/context.ts";
import { dnsProbe } from "../../../../ops/checks/public/dns.ts";
import {
  DEFAULT_TOKEN,
  startCloudflare,
  type FakeCloudflare,
} from "../../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import { startDns, type DnsServer } from "../../../../rehearsal/fake-clouds/dns/server.ts";
import { cloudflareZones } from "../../../../rehearsal/fake-clouds/dns/zones.ts";
import { contextWith, unaborted, noPulumi, outputsOf, effectsWith } from "../fixtures.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { listed, three } from "../../../support/servers.ts";

const ZONE = { name: "exemple.fr", id: "0123456789abcdef0123456789abcdef" };
const NAME = "technicia.exemple.fr";
const MADE = Date.parse("2026-11-01T00:00:00Z");
const HOUR_MS = 3_600_000;

let clock: ManualClock;
let cloudflare: FakeCloudflare;
let dns: DnsServer;

// Loading it keeps a busy machine from everything else for seconds, in which the fake servers close idle connections.
beforeAll(() => import("cloudflare"));

beforeEach(async () => {
  clock = new ManualClock(new Date(MADE));
  cloudflare = await startCloudflare({ zones: [ZONE], clock });
  dns = await startDns({ zones: () => cloudflareZones(cloudflare.state, []) });
});
afterEach(() => Promise.all([cloudflare.close(), dns.close()]));

async function point(type: "A" | "AAAA", content: string): Promise<void> {
  const made = await fetch(`${cloudflare.url}/zones/${ZONE.id}/dns_records`, {
    method: "POST",
    headers: { authorization: `Bearer ${DEFAULT_TOKEN.token}` },
    body: JSON.stringify({ name: NAME, type, content, ttl: 300 }),
  });
  expect(made.status).toBe(200);
}

function look(hoursLater: number, parts: Partial<CheckContext> = {}, port = dns.port) {
  const environment = parts.environment ?? environmentWith({ "dns.cloudflareBaseUrl": cloudflare.url });
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  const context = contextWith({
    environment,
    outputs: outputsOf(environment),
    secrets: { cloudflareApiToken: DEFAULT_TOKEN.token },
    ...parts,
  });
  return dnsProbe(context, effectsWith({ fetch, resolver, now: () => MADE + hoursLater * HOUR_MS })).find(
    unaborted,
  );
}

describe("dnsProbe", () => {
  it("is ok once the address has been published for as long as the settings require", async () => {
    await point("A", "203.0.113.10");

    expect(await look(25)).toEqual({
      outcome: "ok",
      detail: `${NAME} : pointe vers le serveur depuis 25 h ; demandé : 24 h`,
      measures: { settledHours: 25 },
    });
    expect(await look(23)).toMatchObject({ outcome: "failed", measures: { settledHours: 23 } });
  });

  it("is ok with the server's IPv6 address of an earlier release, which the deployment removes", async () => {
    await point("A", "203.0.113.10");
    await point("AAAA", "2001:db8:113:0::10");

    expect(await look(25)).toMatchObject({ outcome: "ok" });
  });

  it("fails when a name points elsewhere, over either family", async () => {
    await point("A", "203.0.113.99");
    await point("AAAA", "2001:db8:99::1");

    expect(await look(48)).toEqual({
      outcome: "failed",
      detail: `${NAME} A : attendu 203.0.113.10, trouvé 203.0.113.99 ; ${NAME} AAAA : attendu rien, trouvé 2001:db8:99::1`,
    });
  });

  it("is ok with the addresses of several gateways, also of some of them, and fails with another server's", async () => {
    const environment = environmentWith({
      ...listed([...three.slice(0, 2), { ...three[2]!, labels: [] }]),
      "dns.cloudflareBaseUrl": cloudflare.url,
    });
    const connection = (name: string, hostAddress: string) => ({
      urn: `urn:pulumi:test::technicia::pulumi:providers:technicia::${name}`,
      type: "pulumi:providers:technicia",
      inputs: {
        ...{ hostAddress, hostPort: "22", hostUser: "debian" },
        ...{ hostPrivateKeyFile: "", hostKey: "ssh-ed25519 AAAA" },
      },
    });
    const resources = [
      connection("host-connection", "203.0.113.10"),
      connection("gra-2/host-connection", "203.0.113.11"),
      connection("gra-3/host-connection", "203.0.113.12"),
    ];
    const pulumi = () => Promise.resolve(JSON.stringify({ deployment: { resources } }));
    const now = () => look(25, { environment, pulumi });

    await point("A", "203.0.113.11");
    expect(await now()).toMatchObject({ outcome: "ok" });
    await point("A", "203.0.113.10");
    expect(await now()).toMatchObject({ outcome: "ok" });
    await point("A", "203.0.113.12");
    const { outcome, detail } = await now();
    expect(outcome).toBe("failed");
    expect(detail).toContain(`${NAME} A : attendu 203.0.113.10, 203.0.113.11, trouvé`);
  });

  it("is not checked without a server and when the resolver is silent", async () => {
    expect(await look(1, { outputs: undefined })).toMatchObject({ outcome: "not-checked" });
    await dns.close();
    expect(await look(1)).toMatchObject({ outcome: "not-checked" });
    dns = await startDns({ zones: () => [] });
  });

  it("uses the newest date in the engine's state when the vendor has none", async () => {
    await point("A", "203.0.113.10");
    const at = (hours: number) => new Date(MADE + hours * HOUR_MS).toISOString();
    const resources = [
      {
        urn: "urn:pulumi:test::technicia::ovh:Domain/zoneRecord:ZoneRecord::a",
        type: "ovh:Domain/zoneRecord:ZoneRecord",
        created: at(0),
        modified: at(10),
        outputs: { target: "203.0.113.10" },
      },
      {
        urn: "urn:pulumi:test::technicia::pulumi:pulumi:Stack::technicia-test",
        type: "pulumi:pulumi:Stack",
        created: at(20),
      },
    ];
    const pulumi = () => Promise.resolve(JSON.stringify({ deployment: { resources } }));

    expect(await look(30, { secrets: {}, pulumi })).toMatchObject({
      outcome: "failed",
      measures: { settledHours: 20 },
    });
    expect(await look(34, { secrets: {}, pulumi })).toMatchObject({
      outcome: "ok",
      measures: { settledHours: 24 },
    });
  });

  it("is not checked when the age is unknown, unless the settings require none", async () => {
    await point("A", "203.0.113.10");
    const patient = environmentWith({ "dns.cloudflareBaseUrl": cloudflare.url });
    const hasty = environmentWith({
      "dns.cloudflareBaseUrl": cloudflare.url,
      "operations.dnsSettledHours": 0,
    });

    expect(await look(99, { secrets: {}, pulumi: noPulumi, environment: patient })).toMatchObject({
      outcome: "not-checked",
    });
    expect(await look(99, { secrets: {}, pulumi: noPulumi, environment: hasty })).toMatchObject({
      outcome: "ok",
    });
  });
});

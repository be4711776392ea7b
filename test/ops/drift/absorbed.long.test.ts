/** What a state that agrees with what exists cannot hide, with the real engine: OVH's server and firewall, and DNS records. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { checkDrift } from "../../../ops/drift/check.ts";
import type { DriftReport } from "../../../ops/drift/report.ts";
import { repairDrift, type RepairWorld } from "../../../ops/drift/repair.ts";
import { startCloudflare, type FakeCloudflare } from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import type { FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { startOvhAccount, type OvhAccount } from "../../provider/ovh/ovh-account.ts";
import { PUBLIC_KEY, settingsOf } from "../../provider/ovh/fixtures.ts";
import { fakeServer, TOKEN, ZONE_ID } from "./world.ts";
import { deployTrial, recorded, repairOf, ROOT, type Trial } from "./trial-stack.ts";

const IP = "203.0.113.10";
const RULES = [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { sequence: 2, action: "permit", protocol: "tcp", port: 443 },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];

let home: string;
let engine: Engine;
let account: OvhAccount;
let cloudflare: FakeCloudflare;
let trial: Trial;
let world: RepairWorld;

const program = (name: string, ttl = 300) =>
  recorded(
    `
    import * as technicia from "${ROOT}/provider/resources.ts";
    import { DnsRecord } from "@pulumi/cloudflare/dnsRecord.js";
    import { Provider } from "@pulumi/cloudflare/provider.js";
    import * as pulumi from "@pulumi/pulumi";`,
    `
    const config = new pulumi.Config("technicia");
    const cloud = new technicia.Connection("cloud", ${JSON.stringify(settingsOf(account.ovh.url))});
    const cloudflare = new Provider("cloudflare", { apiToken: config.requireSecret("cloudflareApiToken"), baseUrl: "${cloudflare.url}" });
    const opts = { provider: cloud };
    new technicia.Vps("vps-server", { serviceName: "${name}", name: "technicia-" + config.require("adminEmail"), vcores: 4, memoryGib: 8, datacentre: "GRA", image: "Debian 12", publicKey: "${PUBLIC_KEY}", deleteAtExpiry: false }, opts);
    new technicia.EdgeFirewall("edge-firewall-rules", { ip: "${IP}", rules: ${JSON.stringify(RULES)} }, opts);
    new DnsRecord("dns-aaaa", { zoneId: "${ZONE_ID}", name: "technicia.exemple.fr", type: "AAAA", content: "2001:db8:113::10", ttl: 300, proxied: false }, { provider: cloudflare });
    new DnsRecord("dns-a", { zoneId: "${ZONE_ID}", name: "technicia.exemple.fr", type: "A", content: "${IP}", ttl: ${ttl}, proxied: false }, { provider: cloudflare });`,
  );

let serviceName: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  [engine, account, cloudflare] = await Promise.all([
    prepareEngine({ progress: () => undefined, home }),
    startOvhAccount(),
    startCloudflare({ zones: [{ name: "exemple.fr", id: ZONE_ID }], tokens: [{ token: TOKEN }] }),
  ]);
  ({ serviceName } = account.ovh.addServer("vps-2027-model2", { ipv4: IP, imageId: "Debian 12" }));
  trial = await deployTrial(engine, { program: program(serviceName), cloudflareUrl: cloudflare.url });
  // The program has no server of its own; the checks of one are those of the host.
  world = repairOf(trial, () => fakeServer());
}, 1_500_000);

afterAll(async () => {
  await Promise.all([
    trial.stack[Symbol.asyncDispose](),
    account.end(),
    cloudflare.close(),
    rm(home, { recursive: true, force: true }),
  ]);
});

async function check(): Promise<DriftReport> {
  const checked = await checkDrift("prod", world);
  checked.close();
  return checked.report;
}

const told = ({ findings }: DriftReport) =>
  findings.map(
    ({ resource, what, expected, found }) => `${resource}: ${what}: ${expected.join()} → ${found.join()}`,
  );

/** There is no server to log in to: that gap is in every report here. */
const unread = ({ gaps }: DriftReport) =>
  gaps.filter(({ what }) => what !== "the server and everything on it");

async function pulumi(...args: string[]): Promise<number> {
  return (await trial.stack.pulumi(...args, "--stack", "prod")).code;
}

const zone = () => cloudflare.state.zones[0]!;
const record = () => zone().records.find(({ type }) => type === "A")!;
const firewall = (ovh: FakeOvh = account.ovh) => ovh.state.firewalls[0]!;

/** In every layer outside of the server: the server at OVH, its firewall, a record that leads elsewhere and one that is gone. */
function tamper(): void {
  account.ovh.state.servers[0]!.displayName = "mine";
  firewall().enabled = false;
  firewall().rules = firewall().rules.filter(({ sequence }) => sequence !== 2);
  record().content = "203.0.113.66";
  zone().records = zone().records.filter(({ type }) => type !== "AAAA");
}

const found = (gone: string) => [
  "edge-firewall-rules: enabled: true → false",
  "edge-firewall-rules: rule 2: permit tcp port 443 → nothing",
  "vps-server: name: technicia-admin@exemple.fr → mine",
  `dns-a: content: ${IP} → 203.0.113.66`,
  `dns-aaaa: DNS record: there → ${gone}`,
];

/** What makes the state agree with what exists. */
const ABSORPTIONS: Readonly<Record<string, () => Promise<void>>> = {
  "a refresh": async () => {
    expect(await pulumi("refresh", "--yes", "--skip-preview")).toBe(0);
  },
  "a repair that fails": async () => {
    const body = { class: "Client::Forbidden", message: "no", success: false, errors: [] };
    for (const method of ["PUT", "POST", "DELETE"]) {
      account.ovh.faults.add({ api: "ovh", method, path: ".", times: 0, status: 403, body });
      cloudflare.faults.add({ api: "cloudflare", method, path: ".", times: 0, status: 403, body });
    }
    expect(await pulumi("up", "--refresh", "--yes", "--skip-preview")).not.toBe(0);
    account.ovh.faults.clear();
    cloudflare.faults.clear();
  },
  "an import of such a state": async () => {
    const file = join(trial.stack.folder, "state.json");
    await pulumi("refresh", "--yes", "--skip-preview");
    await pulumi("stack", "export", "--file", file);
    expect(await readFile(file, "utf8")).toContain("technicia:stacks:Declaration");
    expect(await pulumi("stack", "import", "--file", file)).toBe(0);
  },
};

describe("drift that the state has taken in", { timeout: 900_000 }, () => {
  it("is none after a deployment, nor after a refresh that has nothing to take in", async () => {
    expect(told(await check())).toEqual([]);
    expect(await pulumi("refresh", "--yes", "--skip-preview")).toBe(0);

    const report = await check();
    expect([told(report), unread(report), report.pending]).toEqual([[], [], []]);
  });

  it.each(Object.entries(ABSORPTIONS))(
    "is found after %s, again and again, and repaired",
    async (_, absorb) => {
      tamper();
      expect(told(await check())).toEqual(found("not there"));
      await absorb();
      const report = await check();
      expect([told(report), unread(report)]).toEqual([found("not in the state"), []]);
      expect(told(await check())).toEqual(found("not in the state"));

      const { after } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
      expect(told(after!)).toEqual([]);
    },
  );

  it("is none once the change itself is taken back, whatever the state says", async () => {
    record().content = "203.0.113.66";
    await pulumi("refresh", "--yes", "--skip-preview");
    record().content = IP;

    expect(told(await check())).toEqual([]);
    await pulumi("up", "--refresh", "--yes", "--skip-preview");
  });

  it("is told from settings that are not deployed yet, which a repair leaves alone", async () => {
    account.ovh.state.servers[0]!.displayName = "mine";
    await pulumi("refresh", "--yes", "--skip-preview");
    await trial.change({ adminEmail: "other@exemple.fr" });
    const report = await check();
    const { after } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
    const name = account.ovh.state.servers[0]?.displayName;
    await trial.change({});

    expect(told(report)).toEqual(["vps-server: name: technicia-admin@exemple.fr → mine"]);
    expect(report.pending).toEqual(["adminEmail"]);
    expect([told(after!), name]).toEqual([[], "technicia-admin@exemple.fr"]);
  });

  it("is told from a program that is not deployed yet", async () => {
    account.ovh.state.servers[0]!.displayName = "mine";
    await pulumi("refresh", "--yes", "--skip-preview");
    await trial.stack.write(program(serviceName, 600));
    const report = await check();
    await trial.stack.write(program(serviceName));

    expect(told(report)).toEqual(["vps-server: name: technicia-admin@exemple.fr → mine"]);
    expect(report.pending).toEqual(["dns-a"]);
    await pulumi("up", "--refresh", "--yes", "--skip-preview");
  });

  it("is known of no state without the record", async () => {
    const file = join(trial.stack.folder, "state.json");
    await pulumi("stack", "export", "--file", file);
    const state = JSON.parse(await readFile(file, "utf8")) as {
      deployment: { resources: { type: string }[] };
    };
    const { deployment } = state;
    deployment.resources = deployment.resources.filter(({ type }) => type !== "technicia:stacks:Declaration");
    await writeFile(file, JSON.stringify(state));
    await pulumi("stack", "import", "--file", file);

    const report = await check();
    expect(report.outcome).toBe("failed");
    expect(unread(report)[0]?.reason).toContain("npm run deploy -- prod");
  });
});

/** What is found at the vendors, and what of it is written into the state; OVH is a double, and the engine understands nothing. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { adoptAll } from "../../../ops/recovery/adopt.ts";
import { OvhClient } from "../../../provider/ovh/client.ts";
import { DEFAULT_CREDENTIAL, startOvh, type FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import type { Pulumi } from "../../../ops/engine/cli.ts";
import { change, validSettings } from "../../support/fixtures.ts";

const PROJECT = "0123456789abcdef0123456789abcdef";
const { applicationKey, applicationSecret, consumerKey } = DEFAULT_CREDENTIAL;

let ovh: FakeOvh;
let client: OvhClient;
let resources: Record<string, unknown>[];

beforeEach(async () => {
  ovh = await startOvh({ projects: [PROJECT], zones: ["exemple.fr"] });
  client = new OvhClient({
    endpoint: ovh.url,
    credentials: { kind: "keys", applicationKey, applicationSecret, consumerKey },
  });
  resources = [];
});
afterEach(() => ovh.close());

const pulumi: Pulumi = ({ args, input = "" }) => {
  if (args[0] === "config") return Promise.resolve(JSON.stringify(configuration()));
  if (args[1] === "export") return Promise.resolve(JSON.stringify({ deployment: { resources } }));
  if (args[1] === "import") {
    ({ resources } = (JSON.parse(input) as { deployment: { resources: typeof resources } }).deployment);
  }
  return Promise.resolve("");
};

function configuration(): object {
  const settings = validSettings();
  for (const [path, value] of Object.entries({
    "server.serviceName": undefined,
    "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    "ovh.endpoint": ovh.url,
    "dns.provider": "ovh",
    "dns.zoneId": undefined,
    backup: { project: PROJECT, region: "RBX" },
  }))
    change(settings, path, value);
  const plain = Object.entries(settings).map(([name, value]) => [
    `technicia:${name}`,
    { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) },
  ]);
  const secret = (value: string) => ({ secret: true, value });
  return {
    ...(Object.fromEntries(plain) as object),
    "technicia:ovhApplicationKey": secret(applicationKey),
    "technicia:ovhApplicationSecret": secret(applicationSecret),
    "technicia:ovhConsumerKey": secret(consumerKey),
  };
}

const adopt = () => adoptAll("test", { pulumi, fetch, signal: new AbortController().signal });
const record = (fieldType: string, target: string) =>
  client.post<{ id: number }>("/domain/zone/exemple.fr/record", {
    ...{ fieldType, target, subDomain: "technicia", ttl: 300 },
  });
const ofName = (name: string) => resources.find(({ urn }) => String(urn).endsWith(`::${name}`));

describe("adoptAll", () => {
  it("leaves an empty state as it is where the vendors have nothing", async () => {
    expect(await adopt()).toEqual([]);
    expect(resources).toEqual([]);
  });

  it("adopts the records of a zone at OVH, whatever they lead to, with the connection that they need", async () => {
    const { id } = await record("A", "192.0.2.1");
    const authority = await record("CAA", '0 issue "letsencrypt.org"');
    await record("TXT", "ours");

    expect(await adopt()).toEqual([
      ["dns-technicia-a", String(id)],
      ["dns-caa-letsencrypt.org", String(authority.id)],
    ]);
    const provider = ofName("ovh") as { urn: string; id: string; inputs: Record<string, unknown> };
    expect(ofName("dns-technicia-a")).toMatchObject({
      urn: "urn:pulumi:test::technicia::technicia:infra:Dns$ovh:Domain/zoneRecord:ZoneRecord::dns-technicia-a",
      ...{ parent: "urn:pulumi:test::technicia::technicia:infra:Dns::dns" },
      ...{ provider: `${provider.urn}::${provider.id}` },
      inputs: { zone: "exemple.fr", subdomain: "technicia", fieldtype: "A", ttl: 300, target: "192.0.2.1" },
    });
    expect(Object.keys(provider.inputs).toSorted()).toEqual([
      ...["__internal", "applicationKey", "applicationSecret", "consumerKey", "endpoint", "version"],
    ]);
    expect(resources.map(({ urn }) => String(urn).split("::").at(-1))).not.toContain("cloudflare");
  });

  it("adopts a server by the name that the program gave it, and no other", async () => {
    ovh.addServer("vps-2027-model2", { displayName: "technicia-prod" });
    const { serviceName } = ovh.addServer("vps-2027-model2", { displayName: "technicia-test" });

    expect(await adopt()).toEqual([["vps-server", serviceName]]);
    expect(ofName("vps-server")).toMatchObject({
      ...{ id: serviceName, protect: true, outputs: { serviceName, name: "technicia-test" } },
    });
  });

  it("does not choose among several servers, records or users", async () => {
    const servers = [1, 2].map(() => ovh.addServer("vps-2027-model2", { displayName: "technicia-test" }));
    await expect(adopt()).rejects.toThrow(
      `expected one, got ${servers.map(({ serviceName }) => serviceName).join(" and ")}; say which one it is with pulumi config set --path technicia:server.serviceName`,
    );
    ovh.state.servers.splice(0);

    await record("A", "192.0.2.1");
    await record("A", "192.0.2.2");
    await expect(adopt()).rejects.toThrow(
      "dns: expected one A record of technicia.exemple.fr, got 192.0.2.1 and 192.0.2.2; delete those",
    );
    ovh.state.zones[0]!.records.splice(0);

    const users = `/cloud/project/${PROJECT}/user`;
    const user = { description: "backup-storage-writer test", roles: ["objectstore_operator"] };
    await client.post(users, user);
    await client.post(users, user);
    await expect(adopt()).rejects.toThrow(/with the description "backup-storage-writer test": expected one/);
    expect(resources).toEqual([]);
  });
});

/** Each documented key does all of its work at a fake OVH that grants it nothing else. */
import { readFileSync } from "node:fs";

import { afterEach, describe, expect, it } from "vitest";

import { checkOvhKey, neededRights } from "../../../ops/checks/keys/cloud-keys.ts";
import { openDnsZone } from "../../../provider/dns/records.ts";
import { covers, keyRights, OVH_RIGHTS, readRights, type Right } from "../../../provider/ovh/rights.ts";
import { DEFAULT_CREDENTIAL } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { connectOvh } from "../../../rehearsal/fake-plugins/ovh/client.ts";
import { createReverseType } from "../../../rehearsal/fake-plugins/ovh/reverse.ts";
import { createZoneRecordType } from "../../../rehearsal/fake-plugins/ovh/zone-record.ts";
import type { Properties, ResourceType } from "../../../rehearsal/fake-plugins/plugin.ts";
import { outputsOf } from "../../ops/checks/fixtures.ts";
import { newCall } from "../../rehearsal/fake-plugins/new-call.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { adopted, KEYS, ORDERED } from "./fixtures.ts";
import { type OvhAccount, startOvhAccount } from "./ovh-account.ts";

const SERVER = "vps-1a2b3c4d.vps.ovh.net";
const ZONE = "exemple.fr";
const RULES = [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { sequence: 1, action: "permit", protocol: "tcp", port: 22 },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];

let account: OvhAccount | undefined;
afterEach(() => account?.end());

async function start(rules: readonly Right[]): Promise<OvhAccount> {
  account = await startOvhAccount({ credentials: [{ ...DEFAULT_CREDENTIAL, rules }], zones: [ZONE] });
  return account;
}

/** Everything that the program, the official plugins and the commands do at OVH with one server. */
async function operate(used: OvhAccount, ipv4: string): Promise<void> {
  const { ovh } = used;
  const server = used.vps();
  await server.up(adopted(SERVER));
  await server.refresh();
  const firewall = used.edge();
  await firewall.up({ ip: ipv4, rules: RULES });
  await firewall.refresh();
  await firewall.up({ ip: ipv4, rules: RULES.filter(({ sequence }) => sequence !== 1) });

  const api = await connectOvh({
    config: {
      endpoint: ovh.url,
      applicationKey: KEYS.ovhApplicationKey,
      applicationSecret: KEYS.ovhApplicationSecret,
      consumerKey: KEYS.ovhConsumerKey,
    },
    signal: new AbortController().signal,
  });
  const record = { zone: ZONE, subdomain: "", fieldtype: "A", target: ipv4, ttl: 300 };
  await live(createZoneRecordType(api), record, { ...record, ttl: 600 }, async () => {
    await ovh.settled();
    const reverse = { ip: `${ipv4}/32`, ReverseIp: ipv4, ReverseValue: `${ZONE}.` };
    await live(createReverseType(api), reverse);
  });
  const zone = openDnsZone({
    environment: environmentWith({ "dns.provider": "ovh", "dns.zoneId": undefined, "ovh.endpoint": ovh.url }),
    secrets: KEYS,
  });
  await zone.list(ZONE);
  await firewall.destroy();
  await server.destroy();
}

/** Creates, reads, updates and deletes a resource of a plugin. */
async function live(
  type: ResourceType,
  inputs: Properties,
  news?: Properties,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const call = newCall();
  const made = await type.create(call, inputs);
  await type.read(call, made, inputs);
  if (news) await type.update(call, made, news);
  await meanwhile();
  await type.delete(call, made);
}

/** Signed calls of a run, without those that need no right. */
function callsOf({ ovh }: OvhAccount): readonly (Right & { readonly status: number })[] {
  return ovh.calls.list("ovh").filter(({ path }) => path !== "/auth/time");
}

function expectExactly(rules: readonly Right[], used: OvhAccount): void {
  const calls = callsOf(used);
  expect(calls.filter(({ status }) => status === 403)).toEqual([]);
  expect(rules.filter((rule) => !calls.some((call) => covers(rule, call)))).toEqual([]);
}

describe("the key for a server that exists", () => {
  const rules = keyRights(["operate", "zone"], { server: SERVER, zone: ZONE });

  it("does everything with its documented rights, and needs each of them", async () => {
    const used = await start(rules);
    const { ipv4 } = used.ovh.addServer("vps-2027-model2", { serviceName: SERVER });
    await operate(used, ipv4);
    const environment = environmentWith({ "server.serviceName": SERVER });
    const findings = await checkOvhKey({
      endpoint: used.ovh.url,
      secrets: KEYS,
      rights: { environment, outputs: outputsOf(environment) },
      fetch,
      now: Date.now,
      signal: new AbortController().signal,
    });

    expect(findings).toMatchObject({ key: { outcome: "ok" }, access: { outcome: "ok" } });
    expectExactly(rules, used);
  });

  it("cannot order, reinstall or end a server", async () => {
    const used = await start(rules);
    await expect(used.vps().up(ORDERED)).rejects.toThrow(
      /^GET \/vps: expected an answer, got 403 NOT_GRANTED_CALL "This call has not been granted"/,
    );

    expect(used.ovh.state.orders).toHaveLength(1);
    for (const path of ["rebuild", "terminate", "confirmTermination"]) {
      const right = { method: "POST", path: `/vps/${SERVER}/${path}` };
      expect(rules.some((rule) => covers(rule, right))).toBe(false);
    }
  });

  it("ends a contract only with one more right", async () => {
    const inputs = { ...adopted(SERVER), deleteAtExpiry: true };
    for (const parts of [["operate"], ["operate", "endContract"]] as const) {
      const used = await start(keyRights(parts, { server: SERVER }));
      used.ovh.addServer("vps-2027-model2", { serviceName: SERVER });
      const server = used.vps();
      await server.up(inputs);
      const destroyed = server.destroy();
      if (parts.length === 2) await destroyed;
      else
        await expect(destroyed).rejects.toThrow(
          /the right PUT \/vps\/vps-1a2b3c4d.vps.ovh.net\/serviceInfos/,
        );
      await used.end();
    }
    account = undefined;
  });
});

describe("the key that orders", () => {
  const rules = keyRights(["order"]);

  it("does the first deployment with its documented rights, and needs each of them", async () => {
    const used = await start(rules);
    const { ovh } = used;
    // The lost checkout makes the next run delete the cart.
    ovh.faults.add({ api: "ovh", method: "POST", path: "/checkout$", cut: "before" });
    const server = used.vps();
    await expect(server.up(ORDERED)).rejects.toThrow();
    await server.up(ORDERED);
    await server.refresh();
    const { ipv4 } = server.outputs;
    const firewall = used.edge();
    await firewall.up({ ip: ipv4, rules: RULES });
    await firewall.destroy();
    await checkOvhKey({
      endpoint: ovh.url,
      secrets: KEYS,
      rights: { environment: environmentWith(), outputs: undefined },
      fetch,
      now: Date.now,
      signal: new AbortController().signal,
    });

    expectExactly(rules, used);
  });
});

describe("OVH_RIGHTS", () => {
  it("are those of the page about accounts, in its words", () => {
    const page = readFileSync(new URL("../../../docs/accounts.md", import.meta.url), "utf8");
    const rows = page
      .slice(page.indexOf("### OVHcloud"))
      .split("\n")
      .filter((line) => /^\|.*`[A-Z]+ .*\//.test(line))
      .map((line) => [...(line.split("|")[2] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1]));

    expect(rows).toEqual(Object.values(OVH_RIGHTS));
  });

  it("cover what the preflight asks of a key", () => {
    const ordering = environmentWith({
      "server.serviceName": undefined,
      "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    });
    const atOvh = environmentWith({
      "dns.provider": "ovh",
      "dns.zoneId": undefined,
      "server.deleteAtExpiry": true,
    });
    const uncovered = (granted: readonly Right[], needed: readonly Right[]): readonly Right[] =>
      needed.filter((right) => !granted.some((rule) => covers(rule, right)));

    expect(
      uncovered(keyRights(["order"]), neededRights({ environment: ordering, outputs: undefined })),
    ).toEqual([]);
    expect(
      uncovered(
        keyRights(["operate", "zone", "endContract"], { server: SERVER, zone: atOvh.dns.zone }),
        neededRights({ environment: atOvh, outputs: outputsOf(atOvh) }),
      ),
    ).toEqual([]);
  });

  it("read several methods of one line", () => {
    expect(readRights(["GET PUT /vps/a"])).toEqual([
      { method: "GET", path: "/vps/a" },
      { method: "PUT", path: "/vps/a" },
    ]);
  });
});

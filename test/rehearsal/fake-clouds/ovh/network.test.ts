/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-call,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import { NoMachine } from "../../../../rehearsal/fake-clouds/machine/machine.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { ovhClient } from "./client.ts";

const IP = "203.0.113.10";
const BLOCK = `/ip/${IP}%2F32`;
const FIREWALL = `${BLOCK}/firewall/${IP}`;
const SSH = {
  action: "permit",
  protocol: "tcp",
  sequence: 1,
  destinationPort: 22,
  source: "198.51.100.0/24",
};

let ovh: FakeOvh;
let machine: NoMachine;
let call: ReturnType<typeof ovhClient>;

async function start(options: OvhOptions = {}): Promise<void> {
  machine = new NoMachine();
  ovh = await startOvh({ machine, ...options });
  call = ovhClient(ovh.url);
  ovh.addServer("vps-2027-model2", { serviceName: "vps-1.vps.ovh.net" });
}

async function restart(options: OvhOptions): Promise<void> {
  await ovh.close();
  await start(options);
  await call("POST", `${BLOCK}/firewall`, { ipOnFirewall: IP });
}

beforeEach(() => start());
afterEach(() => ovh.close());

/** The last rules applied at the edge. */
function enforced(): unknown {
  const last = machine.actions.findLast((action) => action.kind === "applyFirewall");
  return last && { enabled: last.enabled, sequences: last.rules.map((rule) => rule.sequence) };
}

describe("the edge firewall", () => {
  it("does not exist until it is created, and is off then", async () => {
    expect((await call("GET", FIREWALL)).status).toBe(404);
    expect((await call("POST", `${BLOCK}/firewall`, { ipOnFirewall: IP })).body).toEqual({
      ipOnFirewall: IP,
      enabled: false,
      state: "ok",
    });
    expect((await call("GET", `${BLOCK}/firewall`)).body).toEqual([IP]);
    expect((await call("POST", `${BLOCK}/firewall`, { ipOnFirewall: IP })).status).toBe(409);
  });

  it("is switched by a pending state, and takes effect at its end", async () => {
    const clock = new ManualClock();
    await restart({ clock, delays: { firewallMs: 1000 } });
    expect((await call("PUT", FIREWALL, { enabled: true })).body).toBeNull();

    expect((await call("GET", FIREWALL)).body).toMatchObject({
      enabled: true,
      state: "enableFirewallPending",
    });
    expect((await call("PUT", FIREWALL, { enabled: false })).status).toBe(409);
    expect(enforced()).toBeUndefined();
    await clock.advance(1000);
    expect((await call("GET", FIREWALL)).body).toMatchObject({ enabled: true, state: "ok" });
    expect(enforced()).toEqual({ enabled: true, sequences: [] });

    await call("PUT", FIREWALL, { enabled: false });
    expect((await call("GET", FIREWALL)).body.state).toBe("disableFirewallPending");
    await clock.advance(1000);
    expect(enforced()).toEqual({ enabled: false, sequences: [] });
  });

  it("is for addresses of the account and for IPv4 only", async () => {
    expect((await call("GET", "/ip/192.0.2.1%2F32/firewall")).status).toBe(404);
    const { status, body } = await call("GET", `/ip/${encodeURIComponent("2001:db8:113::10/128")}/firewall`);
    expect([status, body.message]).toEqual([400, "Firewall is only available for IPv4"]);
  });
});

describe("a firewall rule", () => {
  beforeEach(() => call("POST", `${BLOCK}/firewall`, { ipOnFirewall: IP }));

  it("is returned in OVH's format", async () => {
    await call("POST", `${FIREWALL}/rule`, SSH);
    await call("POST", `${FIREWALL}/rule`, {
      ...{ action: "permit", protocol: "tcp", sequence: 0, tcpOption: { option: "established" } },
    });
    await call("POST", `${FIREWALL}/rule`, { action: "deny", protocol: "ipv4", sequence: 19 });
    await ovh.settled();

    expect((await call("GET", `${FIREWALL}/rule/1`)).body).toEqual({
      sequence: 1,
      action: "permit",
      protocol: "tcp",
      source: "198.51.100.0/24",
      sourcePort: null,
      destination: "203.0.113.10/32",
      destinationPort: "eq 22",
      tcpOption: null,
      fragments: null,
      rule: "permit tcp 198.51.100.0/24 203.0.113.10/32 eq 22",
      state: "ok",
      creationDate: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/) as unknown,
    });
    expect((await call("GET", `${FIREWALL}/rule/0`)).body).toMatchObject({
      source: "any",
      tcpOption: "established",
    });
    expect((await call("GET", `${FIREWALL}/rule`)).body.sort()).toEqual([0, 1, 19]);
  });

  it("is pending while it is created and removed, and applies at the edge in between", async () => {
    const clock = new ManualClock();
    await restart({ clock, delays: { ruleMs: 1000 } });
    expect((await call("POST", `${FIREWALL}/rule`, SSH)).body.state).toBe("creationPending");
    expect((await call("DELETE", `${FIREWALL}/rule/1`)).status).toBe(409);
    expect(enforced()).toBeUndefined();

    await clock.advance(1000);
    expect((await call("GET", `${FIREWALL}/rule/1`)).body.state).toBe("ok");
    expect(enforced()).toEqual({ enabled: false, sequences: [1] });

    expect((await call("DELETE", `${FIREWALL}/rule/1`)).body.state).toBe("removalPending");
    expect((await call("GET", `${FIREWALL}/rule?state=removalPending`)).body).toEqual([1]);
    expect((await call("POST", `${FIREWALL}/rule`, SSH)).status).toBe(400);
    expect(enforced()).toEqual({ enabled: false, sequences: [1] });

    await clock.advance(1000);
    expect((await call("GET", `${FIREWALL}/rule/1`)).status).toBe(404);
    expect(enforced()).toEqual({ enabled: false, sequences: [] });
  });

  it("does not apply at the edge while it is pending, even when another rule takes effect", async () => {
    const clock = new ManualClock();
    await restart({ clock, delays: { ruleMs: 1000 } });
    await call("POST", `${FIREWALL}/rule`, SSH);
    await clock.advance(500);
    await call("POST", `${FIREWALL}/rule`, { action: "deny", protocol: "ipv4", sequence: 19 });
    await clock.advance(500);

    expect(enforced()).toEqual({ enabled: false, sequences: [1] });
    await clock.advance(500);
    expect(enforced()).toEqual({ enabled: false, sequences: [1, 19] });
  });

  it.each([400, 409] as const)(
    "is refused with %i where its sequence is taken",
    async (ruleConflictStatus) => {
      await restart({ ruleConflictStatus });
      await call("POST", `${FIREWALL}/rule`, SSH);
      const { status, body } = await call("POST", `${FIREWALL}/rule`, { ...SSH, destinationPort: 80 });

      expect([status, body.message]).toEqual([ruleConflictStatus, "A rule with sequence 1 already exists"]);
    },
  );

  it.each([
    [
      { sequence: 20 },
      "[sequence] Given data (20) does not belong to the ip.FirewallSequenceRangeEnum enumeration",
    ],
    [{ sequence: -1 }, "[sequence] Given data (-1) does not belong"],
    [{ protocol: "sctp" }, '[protocol] Given data ("sctp") does not belong to the ip.FirewallProtocolEnum'],
    [{ action: "allow" }, '[action] Given data ("allow") does not belong to the ip.FirewallActionEnum'],
    [{ source: "2001:db8::/32" }, "is not valid for type ipv4Block"],
    [{ source: "198.51.100.0/33" }, "is not valid for type ipv4Block"],
    [{ destinationPort: 65536 }, "must be between 0 and 65535"],
    [{ protocol: "icmp" }, "Ports cannot be used with protocol icmp"],
    [{ protocol: "udp", tcpOption: { option: "syn" } }, "tcpOption cannot be used with protocol udp"],
    [{ tcpOption: { option: "fin" } }, "does not belong to the ip.FirewallTCPOptionEnum"],
    [
      { destinationPortRange: { from: 1, to: 2 } },
      "Received not described parameters: (destinationPortRange)",
    ],
  ])("is refused with %j", async (change, message) => {
    const { status, body } = await call("POST", `${FIREWALL}/rule`, { ...SSH, ...change });

    expect(status).toBe(400);
    expect(body.message).toContain(message);
    expect((await call("GET", `${FIREWALL}/rule`)).body).toEqual([]);
  });
});

describe("the reverse name of an address", () => {
  const reverse = { ipReverse: IP, reverse: "n8n.example.org" };

  it("is refused until the name points to the address, then kept with its final dot", async () => {
    await ovh.close();
    await start({ zones: ["example.org"] });
    const early = await call("POST", `${BLOCK}/reverse`, reverse);
    expect([early.status, early.body.message]).toEqual([
      400,
      "Cannot check if n8n.example.org. resolves to 203.0.113.10",
    ]);
    await call("POST", "/domain/zone/example.org/record", {
      fieldType: "A",
      subDomain: "n8n",
      target: IP,
      ttl: 60,
    });
    await call("POST", "/domain/zone/example.org/refresh");
    await ovh.settled();

    const set = { ipReverse: IP, reverse: "n8n.example.org." };
    expect((await call("POST", `${BLOCK}/reverse`, reverse)).body).toEqual(set);
    expect((await call("GET", `${BLOCK}/reverse/${IP}`)).body).toEqual(set);
    expect((await call("GET", `${BLOCK}/reverse`)).body).toEqual([IP]);
    expect((await call("DELETE", `${BLOCK}/reverse/${IP}`)).status).toBe(200);
    expect((await call("GET", `${BLOCK}/reverse/${IP}`)).status).toBe(404);
  });

  it("is set and read for an IPv6 address", async () => {
    await ovh.close();
    await start({ resolve: () => Promise.resolve(["2001:db8:113::10"]) });
    const path = `/ip/${encodeURIComponent("2001:db8:113::10/128")}/reverse`;

    expect((await call("POST", path, { ...reverse, ipReverse: "2001:db8:113::10" })).status).toBe(200);
    expect((await call("POST", path, { ...reverse, ipReverse: IP })).status).toBe(400);
  });
});

describe("a zone at OVH", () => {
  const RECORDS = "/domain/zone/example.org/record";
  const record = { fieldType: "A", subDomain: "n8n", target: IP, ttl: 60 };

  beforeEach(async () => {
    await ovh.close();
    await start({ zones: ["example.org"] });
  });

  it("keeps records apart from what its name servers answer, until it is refreshed", async () => {
    const { body } = await call("POST", RECORDS, record);
    expect(body).toEqual({ ...record, id: body.id, zone: "example.org" });
    expect(ovh.state.zones[0]?.published).toEqual([]);

    await call("POST", "/domain/zone/example.org/refresh");
    await ovh.settled();
    await call("PUT", `${RECORDS}/${body.id}`, { target: "203.0.113.11" });

    expect(ovh.state.zones[0]?.published.map(({ target }) => target)).toEqual([IP]);
    expect((await call("GET", `${RECORDS}/${body.id}`)).body).toMatchObject({
      ...record,
      target: "203.0.113.11",
    });
  });

  it("finds records by type and by name, and forgets those deleted", async () => {
    const { body } = await call("POST", RECORDS, record);
    await call("POST", RECORDS, { ...record, fieldType: "CAA", target: '0 issue "letsencrypt.org"' });

    expect((await call("GET", `${RECORDS}?fieldType=A&subDomain=n8n`)).body).toEqual([body.id]);
    expect((await call("GET", `${RECORDS}?subDomain=www`)).body).toEqual([]);
    expect((await call("DELETE", `${RECORDS}/${body.id}`)).status).toBe(200);
    expect((await call("DELETE", `${RECORDS}/${body.id}`)).status).toBe(404);
  });

  it("puts text in quotes", async () => {
    const { body } = await call("POST", RECORDS, { ...record, fieldType: "TXT", target: "v=spf1 -all" });

    expect(body.target).toBe('"v=spf1 -all"');
  });

  it.each([
    [{ target: "n8n" }, "is not valid for a record of type A"],
    [{ fieldType: "AAAA" }, "is not valid for a record of type AAAA"],
    [{ ttl: 59 }, "[ttl] Given data must be 0 or at least 60"],
    [{ fieldType: "WWW" }, "does not belong to the zone.NamedResolutionFieldTypeEnum"],
    [{ fieldType: "CNAME", target: "else.where." }, "A CNAME record cannot stand beside another record"],
    [{}, "This record already exists"],
  ])("refuses a record with %j", async (change, message) => {
    await call("POST", RECORDS, record);
    const { status, body } = await call("POST", RECORDS, { ...record, ...change });

    expect(status).toBe(400);
    expect(body.message).toContain(message);
  });
});

import { ovhDate } from "../clock.ts";
import type { FakeCloudflare } from "../cloudflare/server.ts";
import { readRecord as readCloudflareRecord } from "../cloudflare/records.ts";
import type { CloudflareZone, DnsRecord } from "../cloudflare/state.ts";
import { enforce, machineSpec, type OvhContext } from "../ovh/context.ts";
import type { FakeOvh } from "../ovh/server.ts";
import type {
  CloudProject,
  Firewall,
  FirewallRule,
  OvhState,
  StorageUser,
  VpsService,
  Zone,
} from "../ovh/state.ts";
import { readRecord } from "../ovh/zone.ts";

/** An invalid request to the management port. */
export class TamperError extends Error {}

type Body = Readonly<Record<string, unknown>>;
type Params = Readonly<Record<string, string>>;
type Tampering = Readonly<Record<string, (body: Body, params: Params) => unknown>>;

/** Changes that somebody else, or OVH itself, makes to the account. */
export function ovhTampering(ovh: FakeOvh): Tampering {
  return {
    ...accountTampering(ovh),
    ...firewallTampering(ovh),
    ...zoneTampering(ovh),
    ...storageTampering(ovh),
  };
}

function accountTampering(ovh: FakeOvh): Tampering {
  const { state, context } = ovh;
  return {
    "PATCH /ovh/account": (body) => {
      const { defaultPaymentMethod, ...account } = body;
      if (typeof defaultPaymentMethod === "boolean") {
        for (const method of state.paymentMethods) method.default = defaultPaymentMethod;
      }
      return change(state.account, account);
    },
    "PATCH /ovh/stock": (body) => Object.assign(state.stock, body),
    "POST /ovh/vps": async (body) => {
      const { planCode, deliver, ...given } = body as Partial<VpsService> & { deliver?: boolean };
      const server = ovh.addServer(planCode, given);
      if (deliver === true) await context.machine.deliver(machineSpec(server));
      return server;
    },
    "PATCH /ovh/vps/{name}": (body, params) =>
      change(requireOne(state.servers, "serviceName", params["name"]), body),
    "DELETE /ovh/vps/{name}": async (_, params) => {
      const server = requireOne(state.servers, "serviceName", params["name"]);
      await context.machine.remove(machineSpec(server));
      state.servers = state.servers.filter((other) => other !== server);
      return null;
    },
    "PATCH /ovh/order/{orderId}": (body, params) =>
      change(requireOne(state.orders, "orderId", Number(params["orderId"])), body),
    "PATCH /ovh/reverse": (body) => {
      for (const [ip, name] of Object.entries(body)) {
        if (typeof name === "string") state.reverses[ip] = name;
        else delete state.reverses[ip];
      }
      return state.reverses;
    },
  };
}

function firewallTampering({ state, context }: FakeOvh): Tampering {
  return {
    "PATCH /ovh/ip/{ip}/firewall": (body, params) =>
      enforced(context, change(firewallOf(state, params), body)),
    "DELETE /ovh/ip/{ip}/firewall": async (_, params) => {
      const firewall = firewallOf(state, params);
      state.firewalls = state.firewalls.filter((other) => other !== firewall);
      await enforce(context, { ...firewall, enabled: false, rules: [] });
      return null;
    },
    "PUT /ovh/ip/{ip}/firewall/rule/{sequence}": (body, params) => {
      const firewall = firewallOf(state, params);
      const sequence = Number(params["sequence"]);
      const before = firewall.rules.find((rule) => rule.sequence === sequence);
      const rule = change(before ? { ...before } : newRule(sequence, ovhDate(context.clock.now())), body);
      firewall.rules = [...firewall.rules.filter((other) => other !== before), rule];
      return enforced(context, firewall);
    },
    "DELETE /ovh/ip/{ip}/firewall/rule/{sequence}": (_, params) => {
      const firewall = firewallOf(state, params);
      const rule = requireOne(firewall.rules, "sequence", Number(params["sequence"]));
      firewall.rules = firewall.rules.filter((other) => other !== rule);
      return enforced(context, firewall);
    },
  };
}

function firewallOf({ firewalls }: OvhState, params: Params): Firewall {
  return requireOne(firewalls, "ip", params["ip"]);
}

async function enforced(context: OvhContext, firewall: Firewall): Promise<Firewall> {
  await enforce(context, firewall);
  return firewall;
}

function storageTampering({ state, context }: FakeOvh): Tampering {
  const { store } = context;
  const userOf = (params: Params): { project: CloudProject; user: StorageUser } => {
    const id = Number(params["id"]);
    const project = state.projects.find(({ users }) => users.some((one) => one.id === id));
    return {
      project: project ?? { id: "", users: [], buckets: [] },
      user: requireOne(project?.users ?? [], "id", id),
    };
  };
  return {
    "PATCH /ovh/bucket/{name}": async (body, params) => {
      const buckets = state.projects.flatMap((project) => project.buckets);
      const bucket = change(requireOne(buckets, "name", params["name"]), body);
      await store.change(bucket);
      return bucket;
    },
    "PATCH /ovh/storage-user/{id}": async (body, params) => {
      const { project, user } = userOf(params);
      change(user, body);
      await store.grant(project.users);
      return user;
    },
  };
}

function zoneTampering({ state }: FakeOvh): Tampering {
  return {
    "POST /ovh/zone/{zone}/record": (body, params) => {
      const zone = zoneOf(state, params);
      zone.records.push(readRecord(state.nextId++, body));
      return published(zone);
    },
    "PATCH /ovh/zone/{zone}/record/{id}": (body, params) => {
      const zone = zoneOf(state, params);
      change(requireOne(zone.records, "id", Number(params["id"])), body);
      return published(zone);
    },
    "DELETE /ovh/zone/{zone}/record/{id}": (_, params) => {
      const zone = zoneOf(state, params);
      const record = requireOne(zone.records, "id", Number(params["id"]));
      zone.records = zone.records.filter((other) => other !== record);
      return published(zone);
    },
  };
}

function zoneOf({ zones }: OvhState, params: Params): Zone {
  return requireOne(zones, "name", params["zone"]);
}

function published(zone: Zone): Zone {
  zone.published = structuredClone(zone.records);
  zone.serial += 1;
  return zone;
}

/** Changes that somebody else makes to the zones at Cloudflare. */
export function cloudflareTampering(cloudflare: FakeCloudflare): Tampering {
  const zoneOf = (params: Params): CloudflareZone =>
    requireOne(cloudflare.state.zones, "name", params["zone"]);
  const recordOf = (params: Params): DnsRecord => requireOne(zoneOf(params).records, "id", params["id"]);

  return {
    "PATCH /cloudflare/zone/{zone}": (body, params) => change(zoneOf(params), body),
    "POST /cloudflare/zone/{zone}/record": (body, params) => {
      const zone = zoneOf(params);
      const record = readCloudflareRecord(zone, body, undefined, new Date().toISOString());
      zone.records.push(record);
      return record;
    },
    "PATCH /cloudflare/zone/{zone}/record/{id}": (body, params) => change(recordOf(params), body),
    "DELETE /cloudflare/zone/{zone}/record/{id}": (_, params) => {
      const zone = zoneOf(params);
      const record = recordOf(params);
      zone.records = zone.records.filter((other) => other !== record);
      return null;
    },
  };
}

function newRule(sequence: number, creationDate: string): FirewallRule {
  return {
    sequence,
    action: "permit",
    protocol: "ipv4",
    source: null,
    destinationPort: null,
    sourcePort: null,
    tcpOption: null,
    fragments: null,
    state: "ok",
    creationDate,
  };
}

// With a misspelt key a test would change nothing and pass.
function change<T extends object>(target: T, body: Body): T {
  const unknown = Object.keys(body).find((key) => !(key in target));
  if (unknown !== undefined) {
    throw new TamperError(`${unknown}: expected one of ${Object.keys(target).join(", ")}`);
  }
  return Object.assign(target, body);
}

function requireOne<T, K extends keyof T>(list: readonly T[], key: K, value: unknown): T {
  const found = list.find((candidate) => candidate[key] === value);
  if (!found) {
    throw new TamperError(
      `${String(value)}: expected one of ${list.map((one) => String(one[key])).join(", ") || "none"}`,
    );
  }
  return found;
}

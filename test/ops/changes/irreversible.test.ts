import { describe, expect, it } from "vitest";

import { readEvents } from "../../../ops/engine/events.ts";
import { findIrreversible } from "../../../ops/changes/irreversible.ts";
import { readSteps } from "../../../ops/changes/steps.ts";
import { eventLog, secretMark, stepEvent, type MadeStep, type Recording } from "../preview/recorded.ts";

function warnings(...steps: MadeStep[]): string[] {
  return told(steps.map(stepEvent).join("\n"));
}

function recorded(name: Recording): string[] {
  return told(eventLog(name));
}

function told(log: string): string[] {
  return findIrreversible(readSteps(readEvents(log))).map(({ kind, resource, text, detail }) =>
    [kind, resource, text, ...(detail === undefined ? [] : [detail])].join(" | "),
  );
}

const volume = {
  chain: "technicia:components:Qdrant$docker:index/volume:Volume",
  name: "technicia-qdrant-storage",
};
const secret = { chain: "technicia:components:N8n$docker:index/secret:Secret" };
const vps = { chain: "technicia:infra:Vps$technicia:ovh:Vps", name: "vps-server" };
const edge = {
  chain: "technicia:infra:EdgeFirewall$technicia:ovh:EdgeFirewall",
  name: "edge-firewall-rules",
};
const table = {
  chain: "technicia:infra:Host$technicia:infra:HostFirewall$technicia:host:File",
  name: "host-firewall-table",
};
const connection = { chain: "technicia:infra:Host$pulumi:providers:technicia", name: "host-connection" };

describe("findIrreversible", () => {
  it("finds nothing in a run that only restarts services", () => {
    expect(recorded("quiet")).toEqual([]);
  });

  it("finds in a recorded rotation the secret, and only that", () => {
    expect(recorded("secret")).toEqual([
      "secret | technicia-vector-store-voyage-api-key | has another secret; the previous one stops working | data",
    ]);
  });

  it("finds in a recorded change of the admins' address what both firewalls let through", () => {
    expect(recorded("domain")).toEqual([
      "opening | edge-firewall-rules | opens what was closed | tcp port 22 from 198.51.100.10/32",
      "opening | host-firewall-table | opens what was closed | tcp dport 22 ip saddr { 198.51.100.10/32 } ct state new limit rate 120/minute burst 120 packets accept",
    ]);
  });

  it("finds in a recorded destruction data, keys, server, firewalls and secrets, data first", () => {
    expect(recorded("destroy")).toEqual([
      "data | technicia-qdrant-snapshots | is deleted: what this volume holds is lost",
      "data | technicia-n8n-data | is deleted: what this volume holds is lost",
      "data | technicia-qdrant-storage | is deleted: what this volume holds is lost",
      "key | host-login-keys | is removed: the people it names can no longer log in",
      "key | host-key | is forgotten: the next server that answers at this address is trusted",
      "server | vps-server | is removed: its contract ends at its expiry, with everything on its disk",
      "opening | edge-firewall-rules | is removed: only the host's own firewall is left",
      "opening | host-firewall-loaded | is removed: every port of Docker and sshd is open",
      "secret | technicia-vector-store-voyage-api-key | is deleted, and its readers stop",
      "secret | technicia-n8n-n8n-jwt-secret | is deleted, and its readers stop",
      "key | technicia-n8n-n8n-encryption-key | is deleted, and its readers stop; with another key n8n refuses to start, and every stored credential is lost",
    ]);
  });

  it("finds a data volume that is replaced, but not one that is kept", () => {
    expect(warnings({ ...volume, op: "replace", old: {}, new: {} })).toEqual([
      "data | technicia-qdrant-storage | is replaced by an empty volume: what it holds is lost",
    ]);
    expect(warnings({ ...volume, op: "delete", old: { retainOnDelete: true } })).toEqual([]);
  });

  it("finds stored structures whose remove script runs, and no others", () => {
    const collection = { chain: "technicia:host:State", name: "qdrant-collection", op: "delete" };

    expect(warnings({ ...collection, old: { inputs: { remove: "curl -X DELETE" } } })).toEqual([
      "data | qdrant-collection | is removed from the service that stores it",
    ]);
    expect(warnings({ ...collection, old: { inputs: {} } })).toEqual([]);
  });

  it("finds a service that gets a database of another kind, with what becomes of its data", () => {
    const n8n = (DB_TYPE: string, N8N_HOST = "a") => ({
      inputs: { taskSpec: { containerSpec: { env: { DB_TYPE, N8N_HOST } } } },
    });
    const service = { chain: "docker:index/service:Service", name: "technicia-n8n-service", op: "update" };

    expect(warnings({ ...service, old: n8n("sqlite"), new: n8n("postgresdb") })).toEqual([
      "data | technicia-n8n-service | stands still while its data moves to PostgreSQL (sqlite → postgresdb), unless services.n8n.startEmpty is true; nothing moves it back",
    ]);
    expect(warnings({ ...service, old: n8n("postgresdb"), new: n8n("sqlite") })).toEqual([
      "data | technicia-n8n-service | starts with an empty database (postgresdb → sqlite): owner, workflows and credentials stay in the one before and are not taken along",
    ]);
    expect(warnings({ ...service, old: n8n("sqlite"), new: n8n("sqlite", "b") })).toEqual([]);
    expect(warnings({ ...service, op: "create", new: n8n("postgresdb") })).toEqual([]);
  });

  it("finds n8n's encryption key being changed, with what that costs", () => {
    const data = { inputs: { data: secretMark() } };
    const rotation = { ...secret, name: "technicia-n8n-n8n-encryption-key", op: "replace", keys: ["data"] };

    expect(warnings({ ...rotation, old: data, new: data })).toEqual([
      "key | technicia-n8n-n8n-encryption-key | has another secret; the previous one stops working; with another key n8n refuses to start, and every stored credential is lost | data",
    ]);
  });

  it("finds a secret of a connection or a state being changed", () => {
    const key = { inputs: { ovhApplicationSecret: secretMark() } };
    const cloud = { chain: "pulumi:providers:technicia", name: "cloud", op: "update" };
    const password = { inputs: { secrets: { OWNER: secretMark() } } };
    const owner = { chain: "technicia:host:State", name: "n8n-owner", op: "update" };

    expect(
      warnings(
        { ...cloud, diffs: ["ovhApplicationSecret"], old: key, new: key },
        {
          ...owner,
          old: password,
          new: password,
          detailedDiff: { "secrets.OWNER": { diffKind: "update", inputDiff: true } },
        },
      ),
    ).toEqual([
      "secret | cloud | has another secret; the previous one stops working | ovhApplicationSecret",
      "secret | n8n-owner | has another secret; the previous one stops working | secrets.OWNER",
    ]);
  });

  it("does not report an unchanged secret next to a change", () => {
    const state = (zone: string) => ({ inputs: { zone, secrets: { OWNER: secretMark() } } });

    const step = { chain: "technicia:host:State", name: "n8n-owner", op: "update" };
    expect(warnings({ ...step, old: state("a"), new: state("b") })).toEqual([]);
  });

  it("reports no loss for a secret that is set for the first time", () => {
    const step = {
      chain: "pulumi:providers:technicia",
      name: "cloud",
      op: "update",
      diffs: ["ovhClientSecret"],
    };

    expect(warnings({ ...step, old: {}, new: { inputs: { ovhClientSecret: secretMark() } } })).toEqual([]);
  });

  it("finds a server that is ordered, with the price that the provider foresees", () => {
    const created = stepEvent({
      ...vps,
      op: "create",
      new: { inputs: { order: { subsidiary: "FR", maxMonthlyPriceEur: 15 } } },
    });
    const foreseen = JSON.stringify({
      resOutputsEvent: {
        metadata: {
          op: "create",
          urn: "urn:pulumi:test::technicia::technicia:infra:Vps$technicia:ovh:Vps::vps-server",
          type: "technicia:ovh:Vps",
          new: { outputs: { plan: "vps-2027-model2", monthlyPriceEur: 8.79 } },
        },
      },
    });

    expect(told(`${created}\n${foreseen}`)).toEqual([
      "order | vps-server | is ordered and paid: 8.79 € a month without tax | vps-2027-model2",
    ]);
    expect(told(created)).toEqual([
      "order | vps-server | is ordered and paid: at most 15.00 € a month without tax, the exact price is not known yet",
    ]);
  });

  it("finds a replaced server both as a loss and as an order", () => {
    const inputs = { deleteAtExpiry: false, order: { maxMonthlyPriceEur: 12.5 } };

    expect(warnings({ ...vps, op: "replace", old: { inputs }, new: { inputs } })).toEqual([
      "server | vps-server | is replaced by another server: it keeps running and is paid for, but is no longer managed",
      "order | vps-server | is ordered and paid: at most 12.50 € a month without tax, the exact price is not known yet",
    ]);
  });

  it("does not order a server that is adopted", () => {
    expect(warnings({ ...vps, op: "create", new: { inputs: { serviceName: "vps-1" } } })).toEqual([]);
  });

  it("finds a reinstalled disk", () => {
    const inputs = (serverId: string) => ({ inputs: { hostAddress: "203.0.113.10", serverId } });

    expect(
      warnings({
        ...connection,
        op: "replace",
        keys: ["serverId"],
        diffs: ["serverId"],
        old: inputs("vps-1/1"),
        new: inputs("vps-1/2"),
      }),
    ).toEqual([
      "reinstall | host-connection | belongs to a reinstalled server: everything on the host is recreated",
    ]);
    const moved = { ...connection, op: "update", old: inputs("vps-1/1"), new: inputs("vps-1/1") };
    expect(warnings({ ...moved, diffs: ["hostAddress"] })).toEqual([]);
  });

  it("finds a changed host key", () => {
    const step = { chain: "technicia:infra:Host$technicia:host:HostKey", name: "host-key", op: "replace" };

    expect(warnings({ ...step, old: {}, new: {} })).toEqual([
      "key | host-key | is read again: the server that answers at this address now is trusted afterwards",
    ]);
  });

  it.each(["same", "update"])("finds lost protection in a step that is otherwise %s", (op) => {
    const old = { protect: true, retainOnDelete: true };

    expect(warnings({ ...volume, op, old, new: {} })).toEqual([
      "protection | technicia-qdrant-storage | loses its protection against deletion",
      "protection | technicia-qdrant-storage | loses the rule that keeps it when it is deleted",
    ]);
    expect(warnings({ ...volume, op, old, new: old })).toEqual([]);
    expect(warnings({ ...volume, op, old: {}, new: old })).toEqual([]);
  });
});

describe("an opened edge firewall", () => {
  const deny = { sequence: 19, action: "deny", protocol: "ipv4" };
  const ssh = (source: string, sequence = 1) => ({
    sequence,
    action: "permit",
    protocol: "tcp",
    port: 22,
    source,
  });
  const opened = (before: unknown, after: unknown) =>
    warnings({
      ...edge,
      op: "update",
      old: { inputs: { rules: before } },
      new: { inputs: { rules: after } },
    }).map((line) => line.split(" | ").at(-1));

  it.each([
    [
      "another source",
      [ssh("198.51.100.7/32"), deny],
      [ssh("198.51.100.8/32"), deny],
      "tcp port 22 from 198.51.100.8/32",
    ],
    [
      "a wider source",
      [ssh("198.51.100.0/28"), deny],
      [ssh("198.51.100.0/24"), deny],
      "tcp port 22 from 198.51.100.0/24",
    ],
    [
      "no source at all",
      [ssh("198.51.100.0/28"), deny],
      [{ sequence: 1, action: "permit", protocol: "tcp", port: 22 }, deny],
      "tcp port 22 from everywhere",
    ],
    [
      "every packet instead of answers",
      [{ sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" }, deny],
      [{ sequence: 0, action: "permit", protocol: "tcp" }, deny],
      "tcp from everywhere",
    ],
    [
      "a permit that a deny stood before",
      [{ ...deny, sequence: 0 }, ssh("198.51.100.7/32", 1)],
      [ssh("198.51.100.7/32", 0), deny],
      "tcp port 22 from 198.51.100.7/32",
    ],
    [
      "no deny any more",
      [ssh("198.51.100.7/32"), deny],
      [ssh("198.51.100.7/32")],
      "no longer refused: ipv4 from everywhere",
    ],
    [
      "rules that are not known",
      [deny],
      "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
      "rules that are not known yet",
    ],
  ])("is one with %s", (_what, before, after, expected) => {
    expect(opened(before, after)).toEqual([expected]);
  });

  it("is not reported for narrower or renumbered rules", () => {
    const before = [ssh("198.51.100.0/24"), ssh("203.0.113.0/24", 2), deny];

    expect(opened(before, [ssh("198.51.100.16/28", 5), deny])).toEqual([]);
  });
});

describe("an opened table of the host", () => {
  const opened = (before: string, after: string) =>
    warnings({
      ...table,
      op: "update",
      old: { inputs: { content: before } },
      new: { inputs: { content: after } },
    }).map((line) => line.split(" | ").at(-1));
  const accept = (set: string) => `    tcp dport 22 ip saddr { ${set} } accept\n`;

  it.each([
    ["an accept more", "counter drop", "tcp dport 8080 accept\ncounter drop", "tcp dport 8080 accept"],
    ["another source", accept("198.51.100.7"), accept("198.51.100.8"), accept("198.51.100.8").trim()],
    [
      "one source more",
      accept("10.0.0.0/8"),
      accept("10.0.0.0/8, 2.2.2.2"),
      accept("10.0.0.0/8, 2.2.2.2").trim(),
    ],
    ["a policy that accepts", "policy drop;", "policy accept;", "policy accept;"],
    ["a drop less", "tcp dport 25 drop", "", "no longer dropped: tcp dport 25 drop"],
  ])("is one with %s", (_what, before, after, expected) => {
    expect(opened(before, after)).toContain(expected);
  });

  it("is not reported for fewer or narrower sources, nor for other comments", () => {
    expect(opened(accept("10.0.0.0/8, 2001:db8::/32"), accept("10.1.0.0/16"))).toEqual([]);
    expect(opened("# accept nothing\ncounter drop", "# accept all\ncounter drop")).toEqual([]);
  });
});

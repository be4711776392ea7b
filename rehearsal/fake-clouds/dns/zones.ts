import type { CloudflareState } from "../cloudflare/state.ts";
import { addressesOf } from "../ovh/context.ts";
import { reverseOf } from "../ovh/reverse.ts";
import type { OvhState } from "../ovh/state.ts";
import { entryFrom, type NameZone, plain, type ZoneEntry } from "./answers.ts";

const OVH_NAME_SERVERS = ["dns10.ovh.net", "ns10.ovh.net"];
const AUTOMATIC_TTL = 300;
const REVERSE_TTL = 3600;

/** Zones held at OVH, as of their last refresh, the names of its servers and their reverse. */
export function ovhZones(state: OvhState): readonly NameZone[] {
  const zones = state.zones.map((zone) => ({
    name: zone.name,
    serial: zone.serial,
    nameServers: OVH_NAME_SERVERS,
    entries: zone.published.flatMap((record) => {
      const name =
        record.subDomain === "" || record.subDomain === "@" ? zone.name : `${record.subDomain}.${zone.name}`;
      // A target without a final dot is relative to the zone.
      const isRelative = ["CNAME", "NS", "PTR"].includes(record.fieldType) && !record.target.endsWith(".");
      const content = isRelative ? `${record.target}.${zone.name}` : record.target;
      const ttl = record.ttl === 0 ? 3600 : record.ttl;
      return entryFrom({ name, type: record.fieldType, content, ttl }) ?? [];
    }),
  }));
  return [...zones, ...(state.servers.length > 0 ? serverZones(state) : [])];
}

/** Zones held at Cloudflare; a proxied record answers with Cloudflare's own addresses. */
export function cloudflareZones(
  state: CloudflareState,
  proxyAddresses: readonly string[],
): readonly NameZone[] {
  return state.zones
    .filter((zone) => zone.status === "active")
    .map((zone) => ({
      name: zone.name,
      serial: 2,
      nameServers: ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
      entries: zone.records.flatMap((record): ZoneEntry[] => {
        const ttl = record.ttl === 1 ? AUTOMATIC_TTL : record.ttl;
        if (record.proxied) {
          return proxyAddresses.map((data) => ({ name: record.name, type: addressType(data), ttl, data }));
        }
        const entry = entryFrom({ ...record, ttl, priority: record.priority ?? 0 });
        return entry ? [entry] : [];
      }),
    }));
}

/** One zone for each name; entries of the same zone from two sources are merged. */
export function mergeZones(zones: readonly NameZone[]): readonly NameZone[] {
  const merged = new Map<string, NameZone>();
  for (const zone of zones) {
    const other = merged.get(zone.name);
    merged.set(zone.name, other ? { ...other, entries: [...other.entries, ...zone.entries] } : zone);
  }
  return [...merged.values()];
}

function serverZones(state: OvhState): readonly NameZone[] {
  const addresses = state.servers.flatMap(addressesOf);
  const forward = state.servers.flatMap((server): ZoneEntry[] =>
    addressesOf(server).map((data) => ({
      name: server.serviceName,
      type: addressType(data),
      ttl: REVERSE_TTL,
      data,
    })),
  );
  const parents = [
    ...new Set(state.servers.map((server) => plain(server.serviceName).replace(/^[^.]+\./, ""))),
  ];
  return [
    ...parents.map((name) =>
      zone(
        name,
        forward.filter((entry) => plain(entry.name).endsWith(`.${name}`)),
      ),
    ),
    ...addresses.map((ip) => {
      const name = reverseName(ip);
      return zone(name, [{ name, type: "PTR", ttl: REVERSE_TTL, data: plain(reverseOf(state, ip) ?? "") }]);
    }),
  ];
}

function zone(name: string, entries: readonly ZoneEntry[]): NameZone {
  return { name, serial: 1, nameServers: OVH_NAME_SERVERS, entries };
}

function addressType(address: string): "A" | "AAAA" {
  return address.includes(":") ? "AAAA" : "A";
}

/** The name of an address below in-addr.arpa or ip6.arpa. */
export function reverseName(ip: string): string {
  if (!ip.includes(":")) return `${ip.split(".").reverse().join(".")}.in-addr.arpa`;
  const [head = "", tail = ""] = ip.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const missing = ip.includes("::") ? 8 - groups(head).length - groups(tail).length : 0;
  const all = [...groups(head), ...Array.from({ length: missing }, () => "0"), ...groups(tail)];
  const digits = all.map((group) => group.padStart(4, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

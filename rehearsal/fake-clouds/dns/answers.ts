import type { Answer, RecordType, StringAnswer } from "dns-packet";

/** A record with its name and data as in the zone. */
export type ZoneEntry = Answer & { readonly name: string };

/** A zone that this server is authoritative for. */
export interface NameZone {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly serial: number;
  readonly nameServers: readonly string[];
  readonly entries: readonly ZoneEntry[];
}

export interface ZoneAnswer {
  readonly rcode: 0 | 3;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  /** Target of an alias that points outside our zones. */
  readonly elsewhere: string | null;
}

/** SOA minimum of every zone: how long a resolver keeps the answer that something does not exist. */
export const NEGATIVE_TTL = 60;
const LONGEST_CHAIN = 8;

/** What our zones say to a question; undefined when the name is in none of them. */
export function answerFrom(zones: readonly NameZone[], name: string, type: string): ZoneAnswer | undefined {
  const answers: Answer[] = [];
  let owner = name;
  for (let hops = 0; hops < LONGEST_CHAIN; hops += 1) {
    const zone = zoneOf(zones, plain(owner));
    if (!zone) {
      return hops === 0 ? undefined : { rcode: 0, answers, authorities: [], elsewhere: owner };
    }
    const { exists, entries } = lookUp(zone, plain(owner));
    const own = (entry: ZoneEntry): Answer => ({ ...entry, name: owner });
    const matching = entries.filter((entry) => entry.type === type || type === "ANY");
    if (matching.length > 0) {
      return { rcode: 0, answers: [...answers, ...matching.map(own)], authorities: [], elsewhere: null };
    }
    const alias = entries.find((entry): entry is StringAnswer => entry.type === "CNAME");
    if (!alias) {
      const rcode = exists || hops > 0 ? 0 : 3;
      return { rcode, answers, authorities: [startOf(zone, NEGATIVE_TTL)], elsewhere: null };
    }
    answers.push(own(alias));
    owner = alias.data;
  }
  return { rcode: 0, answers, authorities: [], elsewhere: null };
}

/** A name as zones write it. */
export function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function zoneOf(zones: readonly NameZone[], name: string): NameZone | undefined {
  return zones
    .filter((zone) => name === zone.name || name.endsWith(`.${zone.name}`))
    .sort((a, b) => b.name.length - a.name.length)[0];
}

function lookUp(zone: NameZone, name: string): { exists: boolean; entries: readonly ZoneEntry[] } {
  const all = [...zone.entries, startOf(zone, 3600), ...nameServersOf(zone)];
  const at = (wanted: string): readonly ZoneEntry[] => all.filter((entry) => plain(entry.name) === wanted);
  // A name exists also when only names below it have records.
  const isThere = (wanted: string): boolean =>
    all.some((entry) => plain(entry.name) === wanted || plain(entry.name).endsWith(`.${wanted}`));
  if (isThere(name)) return { exists: true, entries: at(name) };
  let encloser = name;
  while (!isThere(encloser) && encloser !== zone.name) encloser = encloser.slice(encloser.indexOf(".") + 1);
  const wildcard = at(`*.${encloser}`);
  return { exists: wildcard.length > 0, entries: wildcard };
}

function startOf(zone: NameZone, ttl: number): ZoneEntry {
  return {
    type: "SOA",
    name: zone.name,
    ttl,
    data: {
      mname: zone.nameServers[0] ?? zone.name,
      rname: `tech.${zone.name}`,
      serial: zone.serial,
      refresh: 86400,
      retry: 3600,
      expire: 3600000,
      minimum: NEGATIVE_TTL,
    },
  };
}

function nameServersOf(zone: NameZone): readonly ZoneEntry[] {
  return zone.nameServers.map((data) => ({ type: "NS" as const, name: zone.name, ttl: 3600, data }));
}

/** A record as a control panel keeps it. */
interface RecordText {
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly ttl: number;
  readonly priority?: number;
}

/** Builds an entry from the text that control panels keep as a record's content. */
export function entryFrom({ name, type, content, ttl, priority = 0 }: RecordText): ZoneEntry | undefined {
  const common = { name, ttl };
  const words = content.split(/\s+/);
  switch (type as RecordType) {
    case "A":
    case "AAAA":
      return { ...common, type: type as "A" | "AAAA", data: content };
    case "CNAME":
    case "NS":
    case "PTR":
      return { ...common, type: type as "CNAME" | "NS" | "PTR", data: plain(content) };
    case "TXT":
      return { ...common, type: "TXT", data: texts(content) };
    case "CAA": {
      const [flags = "0", tag = "issue", ...value] = words;
      return {
        ...common,
        type: "CAA",
        data: {
          flags: Number(flags),
          tag: tag as "issue" | "issuewild" | "iodef",
          value: value.join(" ").replace(/^"|"$/g, ""),
        },
      };
    }
    case "MX": {
      const [preference, exchange] = words.length > 1 ? words : [String(priority), content];
      return {
        ...common,
        type: "MX",
        data: { preference: Number(preference), exchange: plain(exchange ?? "") },
      };
    }
    case "SRV": {
      const [weight, port, target] = words.slice(-3);
      const first = words.length > 3 ? Number(words[0]) : priority;
      const data = {
        priority: first,
        weight: Number(weight),
        port: Number(port),
        target: plain(target ?? ""),
      };
      return { ...common, type: "SRV", data };
    }
    default:
      return undefined;
  }
}

// A string in a TXT record holds 255 bytes at most; longer ones are several.
function texts(content: string): Buffer[] {
  const quoted = [...content.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
  const strings = quoted.length > 0 ? quoted : [content];
  return strings.flatMap((text) => {
    const bytes = Buffer.from(text);
    const count = Math.max(1, Math.ceil(bytes.length / 255));
    return Array.from({ length: count }, (_, index) => bytes.subarray(index * 255, (index + 1) * 255));
  });
}

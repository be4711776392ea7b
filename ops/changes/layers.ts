/** Where a resource stands in the system, and what people call it. */

import { parseUrn } from "../../common/urn.ts";

/** From the outside in; the order in which changes are listed. */
export const layers = [
  "Cloud",
  "DNS",
  "Host",
  "Containers",
  "Data",
  "Certificate",
  "Checks",
  "Other",
] as const;

export type Layer = (typeof layers)[number];

export interface Identity {
  /** Last part of the URN. */
  readonly name: string;
  readonly type: string;
  readonly layer: Layer;
  /** `container service`, `file on the host`, … */
  readonly noun: string;
}

interface Place {
  readonly type: string;
  /** Types of the component that the resource belongs to, outermost first. */
  readonly parents: readonly string[];
  readonly name: string;
}

/** First match decides. */
const RULES: readonly { readonly layer: Layer; readonly matches: (place: Place) => boolean }[] = [
  { layer: "Certificate", matches: inside("technicia:components:Certificate") },
  { layer: "Checks", matches: ofType(/^command:|^pulumi:providers:command$/) },
  { layer: "Data", matches: ofType(/^docker:index\/volume:/) },
  // Observed states that belong to no component are what services keep: a collection, an owner.
  {
    layer: "Data",
    matches: ({ type, parents }) => type === "technicia:host:State" && parents.length === 0,
  },
  { layer: "DNS", matches: inside("technicia:infra:Dns") },
  { layer: "DNS", matches: ofType(/^cloudflare:|^ovh:(Domain|Ip\/reverse)|^pulumi:providers:cloudflare$/) },
  { layer: "Host", matches: inside("technicia:infra:Host") },
  { layer: "Cloud", matches: ofType(/^technicia:ovh:|^ovh:|^technicia:infra:(Vps|EdgeFirewall)$/) },
  { layer: "Cloud", matches: ofType(/^pulumi:providers:(ovh|technicia)$/) },
  { layer: "Containers", matches: ofType(/^docker:|^pulumi:providers:docker$|^technicia:components:/) },
  {
    layer: "Containers",
    matches: ({ parents }) => parents.some((type) => type.startsWith("technicia:components:")),
  },
  { layer: "Host", matches: ofType(/^technicia:host:/) },
];

const NOUNS: Readonly<Record<string, string>> = {
  "docker:index/service:Service": "container service",
  "docker:index/container:Container": "container",
  "docker:index/network:Network": "container network",
  "docker:index/secret:Secret": "container secret",
  "docker:index/volume:Volume": "data volume",
  "cloudflare:index/dnsRecord:DnsRecord": "DNS record",
  "ovh:Domain/zoneRecord:ZoneRecord": "DNS record",
  "ovh:Ip/reverse:Reverse": "reverse name",
  "technicia:ovh:Vps": "server",
  "technicia:ovh:EdgeFirewall": "edge firewall",
  "technicia:host:HostKey": "host key",
  "technicia:host:File": "file on the host",
  "technicia:host:Image": "image on the host",
  "technicia:host:Packages": "packages on the host",
  "technicia:host:Unit": "systemd unit",
  "technicia:host:State": "state of the host",
  "command:local:Command": "check",
};

export function identify(urn: string): Identity {
  const { type, parents, name } = parseUrn(urn);
  const place = { type, parents, name };
  const layer = RULES.find(({ matches }) => matches(place))?.layer ?? "Other";
  return { name, type, layer, noun: NOUNS[type] ?? nounOf(type) };
}

function nounOf(type: string): string {
  if (type.startsWith("pulumi:providers:")) return `connection (${type.slice("pulumi:providers:".length)})`;
  const last = type.slice(type.lastIndexOf(":") + 1);
  return type.startsWith("technicia:") && type.split(":").length === 3 && !/^technicia:(host|ovh):/.test(type)
    ? `component ${last}`
    : last;
}

function ofType(pattern: RegExp): (place: Place) => boolean {
  return ({ type }) => pattern.test(type);
}

function inside(component: string): (place: Place) => boolean {
  return ({ type, parents }) => type === component || parents.includes(component);
}

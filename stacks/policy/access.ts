/** Rules about who gets in, and under which names. */
import { sshPorts } from "../../infra/login-guard.ts";
import { isWide } from "../address-range.ts";
import { roleOf } from "../inventory-servers.ts";
import { at, isUnknown, listAt, numberAt, textAt, type Facts, type Resource, type Rule } from "./rule.ts";

const EDGE_FIREWALL = "technicia:ovh:EdgeFirewall";
const HOST_FIREWALL = "host-firewall-table";

/** Where a record's name is, and whether it is complete or below the zone. */
const DNS_NAMES: Readonly<Record<string, string>> = {
  "cloudflare:index/dnsRecord:DnsRecord": "name",
  "technicia:ovh:ReverseName": "name",
  "ovh:Ip/reverse:Reverse": "ReverseValue",
};
const ZONE_RECORD = "ovh:Domain/zoneRecord:ZoneRecord";

export const accessRules: readonly Rule[] = [
  {
    name: "ssh-not-open",
    description: "The internet cannot reach ssh.",
    level: "mandatory",
    exceptedAs: "sshOpen",
    judge: (resource, facts) => [...edgeSsh(resource), ...hostSsh(resource, facts)],
  },
  {
    name: "dns-in-zone",
    description: "Every DNS record is inside dns.zone.",
    level: "mandatory",
    judge: names,
  },
];

function edgeSsh({ type, inputs }: Resource): string[] {
  if (type !== EDGE_FIREWALL) return [];
  return listAt(inputs, "rules").flatMap((rule, index) => {
    if (!admitsToSsh(rule)) return [];
    const source = at(rule, "source");
    if (isUnknown(source) || (typeof source === "string" && !isWide(source))) return [];
    return [`rules[${index}].source: ${EXPECTED}`];
  });
}

const EXPECTED =
  "expected an admin network; narrow ssh.adminCidrs, or add an exception with a reason and an end to policy.exceptions";

/** Whether a new connection to another port than those of visitors passes. */
function admitsToSsh(rule: unknown): boolean {
  const isTcp = ["tcp", "ipv4"].includes(String(at(rule, "protocol")));
  const isNew = at(rule, "action") === "permit" && at(rule, "tcpOption") === undefined;
  return isTcp && isNew && !isUnknown(at(rule, "port")) && ![80, 443].includes(numberAt(rule, "port"));
}

/** Reads the table as nft does: one rule a line. */
function hostSsh({ name, inputs }: Resource, { environment }: Facts): string[] {
  const table = textAt(inputs, "content");
  if (roleOf(name) !== HOST_FIREWALL || table === undefined || environment === undefined) return [];
  const ports = sshPorts(environment.ssh);
  const lines = table.split("\n").filter((line) => {
    const opened = /\bdport \{?([\d, ]+)\}?/.exec(line)?.[1]?.split(/[, ]+/).map(Number) ?? [];
    return line.trim().endsWith("accept") && opened.some((one) => ports.includes(one));
  });
  const isOpen = lines.some((line) => {
    const sources = /\bsaddr \{?([^}]*?)\}? ct /.exec(line)?.[1]?.split(",") ?? [];
    return sources.length === 0 || sources.some((source) => isWide(source.trim()));
  });
  return isOpen ? [`content: ${EXPECTED}`] : [];
}

function names({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (environment === undefined) return [];
  const { zone, zoneId } = environment.dns;
  const wrong = (path: string, expected: string) => [
    `${path}: expected ${expected}; correct domain or dns.zone`,
  ];
  if (type === ZONE_RECORD) {
    const found = at(inputs, "zone");
    return isUnknown(found) || found === zone ? [] : wrong("zone", "dns.zone");
  }
  const path = DNS_NAMES[type];
  if (path === undefined) return [];
  const name = at(inputs, path);
  const isInside = isUnknown(name) || isBelow(String(name).replace(/\.$/, ""), zone);
  const id = at(inputs, "zoneId");
  return [
    ...(isInside ? [] : wrong(path, "a name in dns.zone")),
    ...(id === undefined || isUnknown(id) || id === zoneId ? [] : wrong("zoneId", "dns.zoneId")),
  ];
}

function isBelow(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

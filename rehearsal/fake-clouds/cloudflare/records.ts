import { isIPv4, isIPv6 } from "node:net";

import { CloudflareError, invalidRecord } from "./errors.ts";
import { type CloudflareZone, type DnsRecord, newIdentifier } from "./state.ts";

const TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];
const PROXIABLE = ["A", "AAAA", "CNAME"];
const FREE_COMMENT_LENGTH = 100;

/** What a client may write; anything else in a body is ignored, as Cloudflare does. */
export interface RecordInput {
  readonly name?: string;
  readonly type?: string;
  readonly content?: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly ttl?: number;
  readonly proxied?: boolean;
  readonly priority?: number;
  readonly comment?: string;
  readonly tags?: string[];
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Checks what a client wrote and puts it the way Cloudflare keeps it. */
export function readRecord(
  zone: CloudflareZone,
  input: RecordInput,
  before: DnsRecord | undefined,
  now: string,
): DnsRecord {
  const type = input.type ?? "";
  if (!TYPES.includes(type)) throw invalidRecord(9004, "DNS record type is invalid.");
  if (typeof input.name !== "string" || input.name === "") throw invalidRecord(9000, "DNS name is invalid.");
  const ttl = input.ttl ?? 1;
  if (ttl !== 1 && !(Number.isInteger(ttl) && ttl >= 60 && ttl <= 86400)) {
    throw invalidRecord(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.");
  }
  const proxied = input.proxied ?? false;
  if (proxied && !PROXIABLE.includes(type)) throw invalidRecord(9004, "This record type cannot be proxied.");
  const tags = input.tags ?? [];
  if (tags.length > 0) {
    throw invalidRecord(9300, `DNS record has ${tags.length} tags, exceeding the quota of 0.`);
  }
  const comment = input.comment ?? null;
  if (comment && comment.length > FREE_COMMENT_LENGTH) {
    throw invalidRecord(9313, `DNS record comment exceeds the maximum of ${FREE_COMMENT_LENGTH} characters.`);
  }
  const { content, data } = readContent(type, input);
  return {
    id: before?.id ?? newIdentifier(),
    name: fullName(zone, input.name),
    type,
    content,
    data,
    ttl: proxied ? 1 : ttl,
    proxied,
    priority: input.priority ?? null,
    comment,
    tags,
    settings: input.settings ?? {},
    createdOn: before?.createdOn ?? now,
    modifiedOn: now,
  };
}

/** Refuses a record that clashes with one that is there. */
export function requireRoom(zone: CloudflareZone, record: DnsRecord): void {
  const beside = zone.records.filter((other) => other.name === record.name && other.id !== record.id);
  const same = beside.find((other) => other.type === record.type && other.content === record.content);
  if (same) {
    const isIdentical = same.ttl === record.ttl && same.proxied === record.proxied;
    throw isIdentical
      ? new CloudflareError(400, { code: 81058, message: "An identical record already exists." })
      : new CloudflareError(400, { code: 81057, message: "The record already exists." });
  }
  const isHost = (type: string): boolean => PROXIABLE.includes(type);
  const clashes = beside.some(
    (other) =>
      isHost(other.type) && isHost(record.type) && (other.type === "CNAME" || record.type === "CNAME"),
  );
  if (clashes) {
    throw new CloudflareError(400, {
      code: 81053,
      message: "An A, AAAA, or CNAME record with that host already exists.",
    });
  }
}

export function renderRecord(record: DnsRecord): unknown {
  return {
    id: record.id,
    name: record.name,
    type: record.type,
    content: record.content,
    proxiable: PROXIABLE.includes(record.type),
    proxied: record.proxied,
    ttl: record.ttl,
    settings: record.settings,
    meta: {},
    comment: record.comment,
    tags: record.tags,
    created_on: record.createdOn,
    modified_on: record.modifiedOn,
    ...(record.priority !== null && { priority: record.priority }),
    ...(record.data !== null && { data: record.data }),
  };
}

// A name of another zone is no error at Cloudflare: it becomes a name below this one.
function fullName(zone: CloudflareZone, given: string): string {
  const name = given.toLowerCase().replace(/\.$/, "");
  if (name === "@" || name === zone.name) return zone.name;
  return name.endsWith(`.${zone.name}`) ? name : `${name}.${zone.name}`;
}

function readContent(type: string, input: RecordInput): Pick<DnsRecord, "content" | "data"> {
  if (type === "CAA") return readCaa(input);
  const content = input.content ?? "";
  if (type === "A" && !isIPv4(content)) {
    throw invalidRecord(9005, "Content for A record must be a valid IPv4 address.");
  }
  if (type === "AAAA" && !isIPv6(content)) {
    throw invalidRecord(9006, "Content for AAAA record must be a valid IPv6 address.");
  }
  if (content === "") throw invalidRecord(9207, `Content for ${type} record is missing.`);
  const isName = ["CNAME", "NS", "PTR", "MX"].includes(type);
  return { content: isName ? content.toLowerCase().replace(/\.$/, "") : content, data: null };
}

function readCaa(input: RecordInput): Pick<DnsRecord, "content" | "data"> {
  const written = /^(\d{1,3}) (\w+) "?([^"]*)"?$/.exec(input.content ?? "");
  const data = input.data ?? (written && { flags: Number(written[1]), tag: written[2], value: written[3] });
  const { flags, tag, value } = (data ?? {}) as { flags?: unknown; tag?: unknown; value?: unknown };
  const tags = ["issue", "issuewild", "iodef"];
  if (!Number.isInteger(flags) || !tags.includes(String(tag)) || typeof value !== "string") {
    throw invalidRecord(9101, "CAA record needs flags, a tag (issue, issuewild or iodef) and a value.");
  }
  return { content: `${String(flags)} ${String(tag)} "${value}"`, data: { flags, tag, value } };
}

import { randomBytes } from "node:crypto";

export interface DnsRecord {
  id: string;
  /** Fully qualified, lower case, without the final dot. */
  name: string;
  type: string;
  content: string;
  data: Readonly<Record<string, unknown>> | null;
  ttl: number;
  proxied: boolean;
  priority: number | null;
  comment: string | null;
  tags: string[];
  settings: Readonly<Record<string, unknown>>;
  createdOn: string;
  modifiedOn: string;
}

export interface CloudflareZone {
  id: string;
  name: string;
  status: "active" | "pending" | "moved";
  paused: boolean;
  createdOn: string;
  records: DnsRecord[];
}

export interface CloudflareState {
  accountId: string;
  zones: CloudflareZone[];
}

export function newIdentifier(): string {
  return randomBytes(16).toString("hex");
}

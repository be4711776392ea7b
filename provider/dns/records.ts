/** The records that the DNS vendor has for a name. The vendors' plugins know only the records that they created themselves. */
import type { APIError, Cloudflare } from "cloudflare";
import { z } from "zod";

import { reasonOf } from "../../common/reason.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { credentialsOf, OvhClient } from "../ovh/client.ts";
import { openCloudflare, readFailure } from "./cloudflare.ts";

export interface DnsRecord {
  /** The vendor's id, which is the resource's id in Pulumi, too. */
  readonly id: string;
  readonly name: string;
  readonly type: string;

  /** As the vendor writes it: `198.51.100.7`, `0 issue "letsencrypt.org"`. */
  readonly content: string;

  /** Whether Cloudflare answers with addresses of its own instead. */
  readonly proxied?: boolean;
}

export interface DnsZone {
  list(name: string): Promise<readonly DnsRecord[]>;

  /** Without `publish`, OVH's name servers answer with the record until somebody publishes the zone. */
  remove(record: DnsRecord, options?: { readonly publish: boolean }): Promise<void>;
}

export interface DnsZoneOptions {
  readonly environment: {
    readonly dns: {
      readonly provider: "cloudflare" | "ovh";
      readonly zone: string;
      readonly zoneId: string;
      readonly cloudflareBaseUrl: string;
    };
    readonly ovh: { readonly endpoint: string };
  };

  /** By name, in clear. */
  readonly secrets: Readonly<Record<string, string>>;

  /** @default systemFetch */
  readonly fetch?: typeof fetch;
}

const TIMEOUT_MS = 30_000;

// Cloudflare's own limit is higher; no deployment of ours has more than a dozen.
const PAGE = 100;

/** Failures of the vendor are a `UserError`. */
export function openDnsZone(options: DnsZoneOptions): DnsZone {
  return options.environment.dns.provider === "cloudflare" ? cloudflareZone(options) : ovhZone(options);
}

function cloudflareZone({ environment, secrets, fetch: send = systemFetch }: DnsZoneOptions): DnsZone {
  const { zoneId, cloudflareBaseUrl: baseUrl } = environment.dns;
  const { cloudflareApiToken: token = "" } = secrets;
  let opened: Promise<Cloudflare> | undefined;
  const call = async <T>(purpose: string, request: (client: Cloudflare) => Promise<T>): Promise<T> => {
    const client = await (opened ??= openCloudflare({ baseUrl, token, fetch: send, timeoutMs: TIMEOUT_MS }));
    try {
      return await request(client);
    } catch (error) {
      const failure = await readFailure(error);
      throw failure ? explained(failure, { purpose, zoneId, baseUrl: client.baseURL }) : error;
    }
  };
  return {
    async list(name) {
      const page = await call("read the records", ({ dns }) =>
        dns.records.list({ zone_id: zoneId, name: { exact: name }, per_page: PAGE }),
      );
      return page.result.map(({ id, name, type, content = "", proxied }) => ({
        ...{ id, name, type, content },
        ...(proxied === true && { proxied }),
      }));
    },
    async remove({ id }) {
      await call("delete a record", ({ dns }) => dns.records.delete(id, { zone_id: zoneId }));
    },
  };
}

function explained(
  failure: APIError,
  call: { readonly purpose: string; readonly zoneId: string; readonly baseUrl: string },
): UserError {
  const { status, errors, cause = failure } = failure;
  if (status === undefined) {
    const { host } = new URL(call.baseUrl);
    return new UserError(
      `Cloudflare: ${host} does not answer (${reasonOf(cause)}); check that this machine can reach it`,
      { cause },
    );
  }
  const reasons = errors.map(({ code, message }) => `${code} ${message}`).join(", ");
  return new UserError(
    `Cloudflare: could not ${call.purpose} of zone ${call.zoneId}: ${status} ${reasons}; ` +
      "check technicia:cloudflareApiToken (Zone.DNS edit on this zone) and technicia:dns.zoneId",
    { cause },
  );
}

function ovhZone({ environment, secrets, fetch: send = systemFetch }: DnsZoneOptions): DnsZone {
  const { zone } = environment.dns;
  const client = new OvhClient({
    endpoint: environment.ovh.endpoint,
    credentials: credentialsOf(secrets),
    timeoutMs: TIMEOUT_MS,
    fetch: send,
  });
  const records = `/domain/zone/${zone}/record`;
  return {
    async list(name) {
      const subDomain = name === zone ? "" : name.slice(0, -(zone.length + 1));
      const ids = await client.get<number[]>(records, { query: { subDomain } });
      const found = await Promise.all(
        ids.map((id) =>
          client.get<{ id: number; fieldType: string; subDomain: string; target: string }>(
            `${records}/${id}`,
          ),
        ),
      );
      return found
        .filter((record) => record.subDomain === subDomain)
        .map(({ id, fieldType, target }) => ({ id: String(id), name, type: fieldType, content: target }));
    },
    async remove({ id }, { publish } = { publish: true }) {
      await client.delete(`${records}/${id}`);
      // OVH's name servers keep their old answers until the zone is published.
      if (publish) await client.post(`/domain/zone/${zone}/refresh`);
    },
  };
}

/** What a DNS record of the program asks for, in the words of its vendor; a part that a preview does not know is undefined. */
export interface WantedRecord {
  readonly name: string;
  readonly type: string;
  readonly content: string | undefined;
}

const maybeText = z.string().optional().catch(undefined);
const cloudflareRecord = z.object({
  name: z.string(),
  type: z.string(),
  content: maybeText,
  data: z.object({ flags: z.number(), tag: z.string(), value: z.string() }).optional(),
});
const ovhRecord = z.object({
  zone: z.string(),
  subdomain: z.string().default(""),
  fieldtype: z.string(),
  target: maybeText,
});

/** Resource type → how to read its inputs. */
const WANTED: Readonly<Record<string, (inputs: unknown) => WantedRecord>> = {
  "cloudflare:index/dnsRecord:DnsRecord": (inputs) => {
    const { name, type, content, data } = cloudflareRecord.parse(inputs);
    return { name, type, content: content ?? (data && `${data.flags} ${data.tag} "${data.value}"`) };
  },
  "ovh:Domain/zoneRecord:ZoneRecord": (inputs) => {
    const { zone, subdomain, fieldtype, target } = ovhRecord.parse(inputs);
    return { name: subdomain === "" ? zone : `${subdomain}.${zone}`, type: fieldtype, content: target };
  },
};

/** Undefined for what is no DNS record. */
export function wantedRecord(type: string, inputs: unknown): WantedRecord | undefined {
  return WANTED[type]?.(inputs);
}

/** Whether a record at the vendor is exactly the wanted one. */
export function isWanted(record: DnsRecord, wanted: WantedRecord): boolean {
  const plain = (content: string): string => content.replaceAll('"', "").toLowerCase();
  return (
    record.type === wanted.type &&
    wanted.content !== undefined &&
    plain(record.content) === plain(wanted.content) &&
    record.proxied !== true
  );
}

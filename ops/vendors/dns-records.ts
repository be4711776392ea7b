/** The DNS records that a vendor has under a name, whoever made them: the official plugins know no record but their own. */
import { OvhClient } from "../../provider/ovh/client.ts";
import type { Environment } from "../../stacks/environment.ts";
import { UserError } from "../../common/user-error.ts";

export interface DnsRecord {
  /** The vendor's own, and the id under which Pulumi has it. */
  readonly id: string;
  readonly name: string;
  readonly type: string;

  /** As the vendor writes it: `198.51.100.7`, `0 issue "letsencrypt.org"`. */
  readonly content: string;
}

export interface DnsZone {
  list(name: string): Promise<readonly DnsRecord[]>;
  remove(record: DnsRecord): Promise<void>;
}

export interface DnsZoneOptions {
  readonly environment: Pick<Environment, "dns" | "ovh">;

  /** By name, in clear. */
  readonly secrets: Readonly<Record<string, string>>;

  /** @default the run time's own */
  readonly fetch?: typeof fetch;
}

const CLOUDFLARE = "https://api.cloudflare.com/client/v4";
const TIMEOUT_MS = 30_000;

// Cloudflare's own limit is higher; no deployment of ours has more than a dozen.
const PAGE = 100;

export function openDnsZone(options: DnsZoneOptions): DnsZone {
  return options.environment.dns.provider === "cloudflare" ? cloudflareZone(options) : ovhZone(options);
}

interface CloudflareAnswer {
  readonly success?: boolean;
  readonly errors?: readonly { readonly code?: number; readonly message?: string }[];
  readonly result?: unknown;
}

function cloudflareZone({ environment, secrets, fetch: send = fetch }: DnsZoneOptions): DnsZone {
  const { zoneId, cloudflareBaseUrl } = environment.dns;
  const records = `${cloudflareBaseUrl || CLOUDFLARE}/zones/${zoneId}/dns_records`;
  const call = async (method: string, url: string): Promise<unknown> => {
    const response = await send(url, {
      method,
      headers: { authorization: `Bearer ${secrets["cloudflareApiToken"] ?? ""}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: unknown) => {
      throw new UserError(
        `Cloudflare: expected an answer, got ${error instanceof Error ? error.message : String(error)}; check the way to ${new URL(url).host}`,
        { cause: error },
      );
    });
    const answer = (await response.json().catch(() => ({}))) as CloudflareAnswer;
    if (response.ok && answer.success !== false) return answer.result;
    const told = answer.errors?.map(({ code, message }) => `${code ?? ""} ${message ?? ""}`).join(", ") ?? "";
    throw new UserError(
      `Cloudflare: expected ${method} of the records of zone ${zoneId} to succeed, got ${response.status} ${told}; ` +
        "check technicia:cloudflareApiToken (Zone.DNS edit on this zone) and technicia:dns.zoneId",
    );
  };
  return {
    async list(name) {
      const found = await call("GET", `${records}?name=${encodeURIComponent(name)}&per_page=${PAGE}`);
      return (found as DnsRecord[]).map((record) => ({
        id: record.id,
        name: record.name,
        type: record.type,
        content: record.content,
      }));
    },
    async remove({ id }) {
      await call("DELETE", `${records}/${id}`);
    },
  };
}

interface OvhRecord {
  readonly id: number;
  readonly fieldType: string;
  readonly subDomain: string;
  readonly target: string;
}

function ovhZone({ environment, secrets, fetch: send = fetch }: DnsZoneOptions): DnsZone {
  const { zone } = environment.dns;
  const value = (name: string) => secrets[name] ?? "";
  const client = new OvhClient({
    endpoint: environment.ovh.endpoint,
    credentials:
      value("ovhClientId") === ""
        ? {
            kind: "keys",
            applicationKey: value("ovhApplicationKey"),
            applicationSecret: value("ovhApplicationSecret"),
            consumerKey: value("ovhConsumerKey"),
          }
        : { kind: "account", clientId: value("ovhClientId"), clientSecret: value("ovhClientSecret") },
    timeoutMs: TIMEOUT_MS,
    fetch: send,
  });
  const records = `/domain/zone/${zone}/record`;
  const told = async <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw error instanceof Error ? new UserError(error.message, { cause: error }) : error;
    });
  return {
    async list(name) {
      const subDomain = name === zone ? "" : name.slice(0, -(zone.length + 1));
      const ids = await told(client.get<number[]>(records, { query: { subDomain } }));
      const found = await Promise.all(ids.map((id) => told(client.get<OvhRecord>(`${records}/${id}`))));
      return found
        .filter((record) => record.subDomain === subDomain)
        .map((record) => ({
          id: String(record.id),
          name,
          type: record.fieldType,
          content: record.target,
        }));
    },
    async remove({ id }) {
      await told(client.delete(`${records}/${id}`));
      // Name servers answer from what was last published.
      await told(client.post(`/domain/zone/${zone}/refresh`));
    },
  };
}

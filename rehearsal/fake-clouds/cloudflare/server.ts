import { randomBytes } from "node:crypto";

import { serveApi } from "../api/server.ts";
import { CallLog } from "../api/calls.ts";
import { type Clock, systemClock } from "../clock.ts";
import { Faults } from "../api/faults.ts";
import type { RateLimit } from "../api/limits.ts";
import { type ApiAnswer, type ApiRequest, type Params, Router, type Routes } from "../api/routes.ts";
import { allows, authenticate, type Permission, RateLimiter, type Token } from "./auth.ts";
import { CloudflareError, noRoute, notPermitted, notYours } from "./errors.ts";
import { readRecord, type RecordInput, renderRecord, requireRoom } from "./records.ts";
import { type CloudflareState, type CloudflareZone, type DnsRecord, newIdentifier } from "./state.ts";

/** The token that is accepted when no others are given. */
export const DEFAULT_TOKEN = {
  token: "rehearsal-cloudflare-token-0000000000000001",
} as const satisfies Token;

export interface CloudflareOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
  /** Zones of the account; an id is generated unless given. @default none */
  readonly zones?: readonly (string | { readonly name: string; readonly id: string })[];
  /** @default DEFAULT_TOKEN */
  readonly tokens?: readonly Token[];
  /** @default Cloudflare's own: 1200 in 300 s */
  readonly rateLimit?: RateLimit;
  /** @default the machine's own */
  readonly clock?: Clock;
  /** State to go on with, as `FakeCloudflare.state` was. */
  readonly state?: CloudflareState;
  /** Called whenever the state may have changed. */
  readonly onChange?: (state: CloudflareState) => void;
  readonly calls?: CallLog;
  readonly faults?: Faults;
}

export interface FakeCloudflare {
  /** Base URL for clients: ends in `/client/v4`. */
  readonly url: string;
  readonly state: CloudflareState;
  readonly calls: CallLog;
  readonly faults: Faults;
  close(): Promise<void>;
}

/** Starts a Cloudflare API: zones and their DNS records. */
export async function startCloudflare(options: CloudflareOptions = {}): Promise<FakeCloudflare> {
  const clock = options.clock ?? systemClock;
  const calls = options.calls ?? new CallLog();
  const faults = options.faults ?? new Faults();
  const state = options.state ?? freshState(options, clock);
  const limiter = new RateLimiter(options.rateLimit ?? { requests: 1200, windowSeconds: 300 }, clock);
  const tokens = options.tokens ?? [DEFAULT_TOKEN];
  const callers = new WeakMap<ApiRequest, Token>();
  const callerOf = (request: ApiRequest): Token => callers.get(request) ?? { token: "", zones: [] };
  const served = { state, clock, callerOf };
  const router = new Router({
    "GET /user/tokens/verify": () => envelope({ id: newIdentifier(), status: "active" }),
    ...zoneRoutes(served),
    ...recordRoutes(served),
  });

  const answer = async (request: ApiRequest): Promise<ApiAnswer> => {
    try {
      const token = authenticate(request, tokens);
      callers.set(request, token);
      const headers = limiter.count(token.token);
      const found = router.find(request.method, request.path);
      if (found.kind === "unknown") throw noRoute(request.path);
      if (found.kind === "wrongMethod") {
        throw new CloudflareError(405, { code: 7001, message: "Method not available for that URI" });
      }
      const body: unknown = structuredClone(await found.handler(request, found.params));
      options.onChange?.(state);
      return { status: 200, body, headers };
    } catch (error) {
      if (error instanceof CloudflareError) {
        return { status: error.status, body: error.render(), headers: error.headers };
      }
      const message = error instanceof Error ? error.message : String(error);
      return { status: 500, body: new CloudflareError(500, { code: 1000, message }).render() };
    }
  };

  const server = await serveApi({
    api: "cloudflare",
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    basePaths: ["/client/v4"],
    calls,
    faults,
    clock,
    answer,
    headers: () => ({ "cf-ray": `${randomBytes(8).toString("hex")}-CDG` }),
  });
  return { url: `${server.origin}/client/v4`, state, calls, faults, close: () => server.close() };
}

function freshState(options: CloudflareOptions, clock: Clock): CloudflareState {
  const zones = (options.zones ?? []).map((zone) => (typeof zone === "string" ? { name: zone } : zone));
  return {
    accountId: newIdentifier(),
    zones: zones.map((zone) => ({
      id: newIdentifier(),
      status: "active",
      paused: false,
      createdOn: new Date(clock.now()).toISOString(),
      records: [],
      ...zone,
    })),
  };
}

/** What the routes work on. */
interface Served {
  readonly state: CloudflareState;
  readonly clock: Clock;

  /** Token that a request came with. */
  readonly callerOf: (request: ApiRequest) => Token;
}

function zoneRoutes({ state, callerOf }: Served): Routes {
  return {
    "GET /zones": (request) => {
      const { query } = request;
      const visible = state.zones
        .filter((zone) => allows(callerOf(request), "zone:read", zone.name))
        .filter((zone) => !query.has("name") || zone.name === query.get("name")?.toLowerCase())
        .filter((zone) => !query.has("status") || zone.status === query.get("status"));
      return page(
        visible.map((zone) => renderZone(state, zone)),
        query,
        { usual: 20, most: 50 },
      );
    },
    "GET /zones/{zoneId}": (request, params) => {
      const zone = zoneOf(state, { request, params });
      if (!allows(callerOf(request), "zone:read", zone.name)) throw notYours();
      return envelope(renderZone(state, zone));
    },
  };
}

function zoneOf(
  state: CloudflareState,
  { request, params }: { readonly request: ApiRequest; readonly params: Params },
): CloudflareZone {
  const zone = state.zones.find(({ id }) => id === params["zoneId"]);
  if (!zone) throw noRoute(request.path);
  return zone;
}

function recordRoutes({ state, clock, callerOf }: Served): Routes {
  const now = (): string => new Date(clock.now()).toISOString();
  const recordsOf = (request: ApiRequest, params: Params, permission: Permission): CloudflareZone => {
    const zone = zoneOf(state, { request, params });
    if (!allows(callerOf(request), permission, zone.name)) throw notPermitted();
    return zone;
  };
  const put = (request: ApiRequest, params: Params, isPatch: boolean): unknown => {
    const zone = recordsOf(request, params, "dns:edit");
    const before = requireRecord(zone, params["recordId"]);
    const input = readInput(request);
    const record = readRecord(zone, isPatch ? { ...inputOf(before), ...input } : input, before, now());
    requireRoom(zone, record);
    zone.records[zone.records.indexOf(before)] = record;
    return envelope(renderRecord(record));
  };

  return {
    "GET /zones/{zoneId}/dns_records": (request, params) => {
      const { query } = request;
      const wanted = (name: string): string | null => query.get(name) ?? query.get(`${name}.exact`);
      const found = recordsOf(request, params, "dns:read").records.filter(
        (record) =>
          (wanted("type") ?? record.type) === record.type &&
          (wanted("name")?.toLowerCase() ?? record.name) === record.name &&
          (wanted("content") ?? record.content) === record.content,
      );
      return page(found.map(renderRecord), query, { usual: 100, most: 5_000_000 });
    },
    "POST /zones/{zoneId}/dns_records": (request, params) => {
      const zone = recordsOf(request, params, "dns:edit");
      const record = readRecord(zone, readInput(request), undefined, now());
      requireRoom(zone, record);
      zone.records.push(record);
      return envelope(renderRecord(record));
    },
    "GET /zones/{zoneId}/dns_records/{recordId}": (request, params) =>
      envelope(renderRecord(requireRecord(recordsOf(request, params, "dns:read"), params["recordId"]))),
    "PUT /zones/{zoneId}/dns_records/{recordId}": (request, params) => put(request, params, false),
    "PATCH /zones/{zoneId}/dns_records/{recordId}": (request, params) => put(request, params, true),
    "DELETE /zones/{zoneId}/dns_records/{recordId}": (request, params) => {
      const zone = recordsOf(request, params, "dns:edit");
      const record = requireRecord(zone, params["recordId"]);
      zone.records = zone.records.filter((other) => other !== record);
      return { result: { id: record.id } };
    },
  };
}

function requireRecord(zone: CloudflareZone, id: string | undefined): DnsRecord {
  const record = zone.records.find((candidate) => candidate.id === id);
  if (!record) throw new CloudflareError(404, { code: 81044, message: "Record does not exist." });
  return record;
}

function readInput(request: ApiRequest): RecordInput {
  try {
    const value: unknown = JSON.parse(request.rawBody);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Falls through to the one refusal below.
  }
  throw new CloudflareError(400, { code: 9207, message: "Request body is invalid." });
}

function inputOf(record: DnsRecord): RecordInput {
  const { name, type, content, ttl, proxied, tags, settings } = record;
  return {
    name,
    type,
    content,
    ttl,
    proxied,
    tags,
    settings,
    ...(record.priority !== null && { priority: record.priority }),
    ...(record.comment !== null && { comment: record.comment }),
  };
}

function envelope(result: unknown): unknown {
  return { success: true, errors: [], messages: [], result };
}

function page(
  all: readonly unknown[],
  query: URLSearchParams,
  size: { usual: number; most: number },
): unknown {
  const perPage = Math.min(Math.max(1, Number(query.get("per_page") ?? size.usual)), size.most);
  const number = Math.max(1, Number(query.get("page") ?? 1));
  const result = all.slice((number - 1) * perPage, number * perPage);
  return {
    ...(envelope(result) as object),
    result_info: {
      page: number,
      per_page: perPage,
      count: result.length,
      total_count: all.length,
      total_pages: Math.ceil(all.length / perPage),
    },
  };
}

function renderZone(state: CloudflareState, zone: CloudflareZone): unknown {
  return {
    id: zone.id,
    name: zone.name,
    status: zone.status,
    paused: zone.paused,
    type: "full",
    development_mode: 0,
    name_servers: ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
    original_name_servers: ["dns10.ovh.net", "ns10.ovh.net"],
    original_registrar: null,
    original_dnshost: null,
    created_on: zone.createdOn,
    modified_on: zone.createdOn,
    activated_on: zone.createdOn,
    meta: {
      cdn_only: false,
      dns_only: false,
      foundation_dns: false,
      page_rule_quota: 3,
      phishing_detected: false,
      step: 2,
    },
    owner: { id: null, type: "user", email: null },
    account: { id: state.accountId, name: "Rehearsal" },
    permissions: ["#dns_records:edit", "#dns_records:read", "#zone:read"],
    plan: { id: "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", name: "Free Website", price: 0, currency: "USD" },
  };
}

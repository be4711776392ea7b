import type { Clock } from "../clock.ts";
import type { ApiRequest } from "../api/routes.ts";
import { CloudflareError } from "./errors.ts";

export type Permission = "dns:read" | "dns:edit" | "zone:read";

/** An API token and what it may do. */
export interface Token {
  readonly token: string;
  /** @default every permission */
  readonly permissions?: readonly Permission[];
  /** Names of the zones it covers. @default all */
  readonly zones?: readonly string[];
}

/** The token that a request carries. */
export function authenticate(request: ApiRequest, tokens: readonly Token[]): Token {
  const authorization = request.headers["authorization"];
  if (!authorization) {
    throw new CloudflareError(400, {
      code: 9106,
      message: "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
    });
  }
  const text = /^Bearer ([0-9A-Za-z_-]{40,80})$/.exec(authorization)?.[1];
  if (!text) {
    throw new CloudflareError(
      400,
      { code: 6003, message: "Invalid request headers" },
      { chain: [{ code: 6111, message: "Invalid format for Authorization header" }] },
    );
  }
  const token = tokens.find((candidate) => candidate.token === text);
  if (!token) throw new CloudflareError(403, { code: 9109, message: "Invalid access token" });
  return token;
}

export function allows(token: Token, permission: Permission, zone: string): boolean {
  if (token.zones && !token.zones.includes(zone)) return false;
  const permissions = token.permissions ?? ["dns:edit", "zone:read"];
  return permissions.includes(permission) || (permission === "dns:read" && permissions.includes("dns:edit"));
}

export interface RateLimit {
  readonly requests: number;
  readonly windowSeconds: number;
}

/** Counts requests per token in fixed windows, and reports how many are left. */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #windows = new Map<string, { end: number; used: number }>();

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Headers for the answer; throws when the limit is passed. */
  count(key: string): Readonly<Record<string, string>> {
    const { requests, windowSeconds } = this.#limit;
    const now = this.#clock.now();
    let window = this.#windows.get(key);
    if (!window || window.end <= now) {
      window = { end: now + windowSeconds * 1000, used: 0 };
      this.#windows.set(key, window);
    }
    window.used += 1;
    const seconds = Math.ceil((window.end - now) / 1000);
    const headers = {
      ratelimit: `"default";r=${Math.max(0, requests - window.used)};t=${seconds}`,
      "ratelimit-policy": `"default";q=${requests};w=${windowSeconds}`,
    };
    if (window.used <= requests) return headers;
    throw new CloudflareError(
      429,
      { code: 971, message: "Please wait and consider throttling your request speed" },
      { headers: { ...headers, "retry-after": String(seconds) } },
    );
  }
}

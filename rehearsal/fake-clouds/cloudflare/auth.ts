import type { Clock } from "../clock.ts";
import { type RateLimit, RequestCounter } from "../api/limits.ts";
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

/** Counts requests per token, and reports how many are left. */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #counter: RequestCounter;

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#counter = new RequestCounter(limit, clock);
  }

  /** Headers for the answer; throws when the limit is passed. */
  count(key: string): Readonly<Record<string, string>> {
    const { isOver, limit, remaining, secondsLeft } = this.#counter.count(key);
    const headers = {
      ratelimit: `"default";r=${remaining};t=${secondsLeft}`,
      "ratelimit-policy": `"default";q=${limit};w=${this.#limit.windowSeconds}`,
    };
    if (!isOver) return headers;
    throw new CloudflareError(
      429,
      { code: 971, message: "Please wait and consider throttling your request speed" },
      { headers: { ...headers, "retry-after": String(secondsLeft) } },
    );
  }
}

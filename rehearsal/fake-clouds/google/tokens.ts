import { createPublicKey, randomBytes, verify } from "node:crypto";

import type { Clock } from "../clock.ts";
import type { ApiRequest } from "../api/routes.ts";
import { GoogleError, OauthError } from "./errors.ts";

export const TOKEN_HOST = "oauth2.googleapis.com";
const AUDIENCE = `https://${TOKEN_HOST}/token`;
const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const LIFETIME_SECONDS = 3600;
/** A clock may be this far off. */
const TOLERANCE_SECONDS = 300;

/** A service account: its address, the public key of its key file, and what it may call. */
export interface ServiceAccount {
  readonly email: string;
  readonly keyId: string;
  /** PEM. */
  readonly publicKey: string;
  /** @default both */
  readonly apis?: readonly GoogleApi[];
}
export type GoogleApi = "documentai" | "vision";

interface Claims {
  readonly iss?: unknown;
  readonly scope?: unknown;
  readonly aud?: unknown;
  readonly iat?: unknown;
  readonly exp?: unknown;
}

/** Access tokens, and who has them. */
export class Tokens {
  readonly #accounts: readonly ServiceAccount[];
  readonly #clock: Clock;
  readonly #issued = new Map<string, { readonly account: ServiceAccount; readonly end: number }>();

  constructor(accounts: readonly ServiceAccount[], clock: Clock) {
    this.#accounts = accounts;
    this.#clock = clock;
  }

  /** A token for the assertion that a service account signed. */
  issue({ rawBody }: ApiRequest): unknown {
    const form = new URLSearchParams(rawBody);
    if (form.get("grant_type") !== GRANT)
      throw new OauthError("unsupported_grant_type", `Invalid grant_type: ${form.get("grant_type") ?? ""}`);
    const account = this.#verify(form.get("assertion") ?? "");
    const token = `ya29.c.${randomBytes(32).toString("base64url")}`;
    const now = this.#clock.now();
    for (const [old, { end }] of this.#issued) if (end <= now) this.#issued.delete(old);
    this.#issued.set(token, { account, end: now + LIFETIME_SECONDS * 1000 });
    return { access_token: token, expires_in: LIFETIME_SECONDS - 1, token_type: "Bearer" };
  }

  /** The account whose token a request carries. @throws GoogleError without a valid one, or without the right to call `api` */
  require(request: ApiRequest, api: GoogleApi): ServiceAccount {
    const [, token] = /^Bearer (\S+)$/.exec(request.headers["authorization"] ?? "") ?? [];
    if (token === undefined) {
      throw new GoogleError(
        "UNAUTHENTICATED",
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid " +
          "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
      );
    }
    const issued = this.#issued.get(token);
    if (issued === undefined || issued.end <= this.#clock.now()) {
      throw new GoogleError(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication " +
          "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
      );
    }
    if (issued.account.apis?.includes(api) === false) {
      throw new GoogleError(
        "PERMISSION_DENIED",
        `Permission '${api}.use' denied on resource '//${api}.googleapis.com' (or it may not exist).`,
      );
    }
    return issued.account;
  }

  #verify(assertion: string): ServiceAccount {
    const parts = assertion.split(".");
    const [header, claims] = [decode(parts[0]), decode(parts[1]) as Claims | undefined];
    if (parts.length !== 3 || header === undefined || claims === undefined)
      throw new OauthError("invalid_grant", "Invalid JWT: Failed to parse.");
    const account = this.#accounts.find(({ email }) => email === claims.iss);
    if (account === undefined) throw new OauthError("invalid_grant", "Invalid grant: account not found");
    const { alg, kid } = header as { readonly alg?: unknown; readonly kid?: unknown };
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    const isSigned =
      alg === "RS256" &&
      (kid === undefined || kid === account.keyId) &&
      verify(
        "RSA-SHA256",
        signed,
        createPublicKey(account.publicKey),
        Buffer.from(parts[2] ?? "", "base64url"),
      );
    if (!isSigned) throw new OauthError("invalid_grant", "Invalid JWT Signature.");
    this.#requireTimes(claims);
    if (claims.aud !== AUDIENCE) throw new OauthError("invalid_grant", "Invalid JWT: Failed audience check.");
    if (typeof claims.scope !== "string" || !claims.scope.split(" ").includes(SCOPE))
      throw new OauthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
    return account;
  }

  #requireTimes({ iat, exp }: Claims): void {
    const now = this.#clock.now() / 1000;
    const isShort =
      typeof iat === "number" &&
      typeof exp === "number" &&
      iat <= now + TOLERANCE_SECONDS &&
      exp >= now - TOLERANCE_SECONDS &&
      exp - iat <= LIFETIME_SECONDS;
    if (isShort) return;
    throw new OauthError(
      "invalid_grant",
      "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
    );
  }
}

function decode(part: string | undefined): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? "", "base64url").toString());
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

import { createHash, timingSafeEqual } from "node:crypto";

import type { ApiRequest } from "../api/routes.ts";
import { forbidden, gatewayError, OvhError } from "./errors.ts";

/** A route that a credential may use; `*` in the path matches anything, slashes included. */
export interface AccessRule {
  readonly method: string;
  readonly path: string;
}

/** An application key, its secret and one consumer key. */
export interface KeyCredential {
  readonly kind: "keys";
  readonly applicationKey: string;
  readonly applicationSecret: string;
  readonly consumerKey: string;
  /** @default every route */
  readonly rules?: readonly AccessRule[];
  /** @default "validated" */
  readonly status?: "validated" | "expired" | "pendingValidation" | "refused";
}

/** An OAuth2 access token. */
export interface BearerCredential {
  readonly kind: "bearer";
  readonly token: string;
  /** @default every route */
  readonly rules?: readonly AccessRule[];
}

export type Credential = KeyCredential | BearerCredential;

interface AuthOptions {
  readonly credentials: readonly Credential[];
  /** Seconds since the epoch by this server's clock. */
  readonly time: () => number;
  readonly toleranceSeconds: number;
}

/** Whether a request tries to authenticate at all. */
export function isSigned(request: ApiRequest): boolean {
  return Boolean(request.headers["x-ovh-consumer"] ?? request.headers["authorization"]);
}

/** Returns the credential of a request; refuses what OVH refuses. */
export function authenticate(request: ApiRequest, options: AuthOptions): Credential {
  const authorization = request.headers["authorization"];
  const credential = authorization ? byToken(authorization, options) : bySignature(request, options);
  if (!isGranted(credential, request)) {
    throw gatewayError(403, "NOT_GRANTED_CALL", "This call has not been granted");
  }
  return credential;
}

function byToken(authorization: string, { credentials }: AuthOptions): Credential {
  const token = /^Bearer (.+)$/.exec(authorization)?.[1];
  const found = credentials.find((credential) => credential.kind === "bearer" && credential.token === token);
  if (!found) throw forbidden("Invalid access token");
  return found;
}

function bySignature(request: ApiRequest, options: AuthOptions): Credential {
  const applicationKey = request.headers["x-ovh-application"];
  const consumerKey = request.headers["x-ovh-consumer"];
  const keys = options.credentials.filter((credential) => credential.kind === "keys");
  if (!applicationKey || !consumerKey) {
    throw new OvhError(401, { class: "Client::Unauthorized", message: "You must login first" });
  }
  const ofApplication = keys.filter((credential) => credential.applicationKey === applicationKey);
  if (ofApplication.length === 0) throw forbidden("This application key is invalid");
  const credential = ofApplication.find((candidate) => candidate.consumerKey === consumerKey);
  if (!credential || (credential.status ?? "validated") !== "validated") {
    throw gatewayError(403, "INVALID_CREDENTIAL", "This credential is not valid");
  }
  const timestamp = request.headers["x-ovh-timestamp"] ?? "";
  if (!sameText(request.headers["x-ovh-signature"] ?? "", sign(credential, request, timestamp))) {
    throw gatewayError(400, "INVALID_SIGNATURE", "Invalid signature");
  }
  // Checked after the signature, so that a wrong clock is not taken for a wrong secret.
  if (!(Math.abs(Number(timestamp) - options.time()) <= options.toleranceSeconds)) {
    throw gatewayError(400, "QUERY_TIME_OUT", "Query out of time");
  }
  return credential;
}

function sign(credential: KeyCredential, request: ApiRequest, timestamp: string): string {
  const { applicationSecret, consumerKey } = credential;
  const text = [applicationSecret, consumerKey, request.method, request.url, request.rawBody, timestamp];
  return `$1$${createHash("sha1").update(text.join("+")).digest("hex")}`;
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function isGranted(credential: Credential, request: ApiRequest): boolean {
  const rules = credential.rules ?? [{ method: request.method, path: "/*" }];
  const paths = [request.path, decoded(request.path)];
  return rules.some(
    (rule) => rule.method === request.method && paths.some((path) => covers(rule.path, path)),
  );
}

function covers(pattern: string, path: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(path);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

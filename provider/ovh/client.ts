import { setTimeout as delay } from "node:timers/promises";

import { isSafeForKeys } from "../../common/api-address.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import type { Settings } from "../plugin/definition.ts";
import { type Credentials, Signer } from "./auth.ts";
import { type Login, OvhError } from "./errors.ts";

export interface ClientOptions {
  /** `ovh-eu`, `ovh-ca`, `ovh-us`, or the base URL of an API. */
  readonly endpoint: string;
  readonly credentials: Credentials;
  /** Time limit of one request. @default 60 s */
  readonly timeoutMs?: number;
  /** First pause before a retry; it doubles each time. @default 500 ms */
  readonly retryMs?: number;
  /** How often a request is sent at most. @default 4 */
  readonly attempts?: number;
  /** @default systemFetch */
  readonly fetch?: typeof fetch;
}

interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly query?: Readonly<Record<string, string>> | undefined;
  /** Whether the call is sent unsigned; it needs no right then. */
  readonly isPublic?: boolean | undefined;
}

const ENDPOINTS: Readonly<Record<string, string>> = {
  "ovh-eu": "https://eu.api.ovh.com/1.0",
  "ovh-ca": "https://ca.api.ovh.com/1.0",
  "ovh-us": "https://api.us.ovhcloud.com/1.0",
};
const LONGEST_PAUSE_MS = 30_000;

/** Base URL of an endpoint given by name or by URL. */
export function endpointUrl(endpoint: string): string {
  const url = ENDPOINTS[endpoint] ?? endpoint;
  if (!/^https?:\/\/[^/]+(\/.*[^/])?$/.test(url) || !isSafeForKeys(url)) {
    throw new UserError(
      `ovh.endpoint: expected ovh-eu, ovh-ca, ovh-us or a URL with https and without a trailing slash, got "${endpoint}"; correct technicia:ovh.endpoint`,
    );
  }
  return url;
}

/** Reads the keys of a stack, of which each may be absent or empty; `none` when no set of them is complete. */
export function credentialsOf(settings: Settings): Credentials {
  const { ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey, ovhClientId, ovhClientSecret } = settings;
  if (ovhApplicationKey && ovhApplicationSecret && ovhConsumerKey) {
    return {
      kind: "keys",
      applicationKey: ovhApplicationKey,
      applicationSecret: ovhApplicationSecret,
      consumerKey: ovhConsumerKey,
    };
  }
  if (ovhClientId && ovhClientSecret) {
    return { kind: "account", clientId: ovhClientId, clientSecret: ovhClientSecret };
  }
  return { kind: "none" };
}

/**
 * OVH's API over HTTP. A call that fails throws an `OvhError` with the status.
 *
 * A GET is retried after 429, after a 5xx status and after a lost connection. Any other call may have ordered something, so it is retried only
 * after 429, which means that OVH did not process it.
 */
export class OvhClient {
  readonly baseUrl: string;
  readonly #options: Required<ClientOptions>;
  readonly #signer: Signer;
  #signal: AbortSignal | undefined;

  constructor(options: ClientOptions, signer?: Signer) {
    this.baseUrl = endpointUrl(options.endpoint);
    this.#options = { timeoutMs: 60_000, retryMs: 500, attempts: 4, fetch: systemFetch, ...options };
    this.#signer =
      signer ??
      new Signer({
        ...this.#options,
        baseUrl: this.baseUrl,
        getTime: (signal) => this.request<number>("GET", "/auth/time", undefined, { signal, isPublic: true }),
      });
  }

  /** A client with the same token and clock, whose calls end when the signal aborts. */
  withSignal(signal: AbortSignal): OvhClient {
    const client = new OvhClient(this.#options, this.#signer);
    client.#signal = signal;
    return client;
  }

  get<Answer>(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("GET", path, undefined, options);
  }

  post<Answer>(path: string, body?: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request("POST", path, body, options);
  }

  put(path: string, body: unknown, options?: RequestOptions): Promise<void> {
    return this.request("PUT", path, body, options);
  }

  delete(path: string, options?: RequestOptions): Promise<void> {
    return this.request("DELETE", path, undefined, options);
  }

  async request<Answer>(
    method: string,
    path: string,
    body?: unknown,
    { signal = this.#signal, ...options }: RequestOptions = {},
  ): Promise<Answer> {
    const search = options.query ? `?${new URLSearchParams(options.query).toString()}` : "";
    const url = this.#url(path) + search;
    if (!options.isPublic) await this.#signer.prepare(signal);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once<Answer>(method, { path, url, body, signal, ...options });
      } catch (error) {
        if (
          !(error instanceof OvhError) ||
          attempt === this.#options.attempts ||
          !isWorthAnother(method, error)
        )
          throw error;
        await delay(this.#pause(attempt, error), undefined, { signal });
      }
    }
  }

  #url(path: string): string {
    return /^\/v\d+\//.test(path) ? this.baseUrl.replace(/\/1\.0$/, "") + path : this.baseUrl + path;
  }

  #pause(attempt: number, error: OvhError): number {
    const asked = retryAfter.get(error);
    return Math.min(asked ?? this.#options.retryMs * 2 ** (attempt - 1), LONGEST_PAUSE_MS);
  }

  async #once<Answer>(
    method: string,
    { path, url, body, signal, isPublic }: RequestOptions & { path: string; url: string; body: unknown },
  ): Promise<Answer> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const signed = isPublic ? {} : await this.#signer.headers({ method, url, body: text }, signal);
    const limit = AbortSignal.timeout(this.#options.timeoutMs);
    let response: Response;
    let answer: string;
    try {
      response = await this.#options.fetch(url, {
        method,
        // The server may close a kept connection at any time, and a POST that breaks must not be repeated.
        headers: { accept: "application/json", connection: "close", ...(text && JSON_BODY), ...signed },
        ...(text && { body: text }),
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      answer = await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      const silence = limit.aborted ? "timeout" : "cut";
      throw new OvhError({ method, path, status: 0, silence, detail: causeCode(cause), cause });
    }
    if (!response.ok) {
      if (response.status === 401) this.#signer.forget();
      const login = this.#options.credentials.kind === "account" ? "account" : "keys";
      throw failed(response, answer, { method, path, login });
    }
    return parse<Answer>(answer, { method, path });
  }
}

const JSON_BODY = { "content-type": "application/json;charset=utf-8" };
const retryAfter = new WeakMap<OvhError, number>();

function isWorthAnother(method: string, error: OvhError): boolean {
  if (error.status === 429) return true;
  return method === "GET" && (error.status === 0 || error.status >= 500);
}

function failed(
  response: Response,
  answer: string,
  call: { method: string; path: string; login: Login },
): OvhError {
  const body = readErrorBody(answer);
  const error = new OvhError({
    ...call,
    status: response.status,
    errorClass: body.class ?? body.errorCode,
    detail: body.message,
    queryId: response.headers.get("x-ovh-queryid") ?? undefined,
    missingActions: body.details?.unauthorizedActionsByIAM?.split(/[ ,]+/).filter(Boolean),
  });
  const pause = readRetryAfter(response.headers.get("retry-after"));
  if (pause !== undefined) retryAfter.set(error, pause);
  return error;
}

function readErrorBody(answer: string): {
  readonly class?: string;
  readonly errorCode?: string;
  readonly message?: string;
  readonly details?: { readonly unauthorizedActionsByIAM?: string };
} {
  try {
    return (JSON.parse(answer) ?? {}) as object;
  } catch {
    // A proxy in between answers with an HTML page of its own.
    const words = answer.replace(/<[^>]*>|\s+/g, " ").trim();
    return answer ? { message: `no JSON: ${words.slice(0, 120)}` } : {};
  }
}

function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = Number(value);
  const pause = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return Number.isNaN(pause) ? undefined : Math.max(0, pause);
}

function parse<Answer>(answer: string, call: { method: string; path: string }): Answer {
  if (answer === "") return undefined as Answer;
  try {
    return JSON.parse(answer) as Answer;
  } catch (cause) {
    throw new OvhError({ ...call, status: 0, silence: "cut", detail: "the answer is no JSON", cause });
  }
}

function causeCode(error: unknown): string | undefined {
  const inner = error instanceof Error ? error.cause : undefined;
  if (inner instanceof Error)
    return "code" in inner && typeof inner.code === "string" ? inner.code : inner.message;
  return error instanceof Error ? error.message : undefined;
}

/** Returns the client for the settings of a connection. */
export type ClientOf = (settings: Settings) => OvhClient;

/** Keeps one client for each set of keys, so that OVH's clock and tokens are read once. */
export function clients(options: Partial<Omit<ClientOptions, "endpoint" | "credentials">> = {}): ClientOf {
  const known = new Map<string, OvhClient>();
  return (settings) => {
    const endpoint = settings.ovhEndpoint ?? "ovh-eu";
    const credentials = credentialsOf(settings);
    const key = JSON.stringify([endpoint, credentials]);
    const client = known.get(key) ?? new OvhClient({ ...options, endpoint, credentials });
    known.set(key, client);
    return client;
  };
}

/** The client of every resource in this process. */
export const sharedClient: ClientOf = clients();

import { setTimeout as delay } from "node:timers/promises";

import { UserError } from "../../common/user-error.ts";
import { type Credentials, Signer } from "./auth.ts";
import { OvhError } from "./errors.ts";

export interface ClientOptions {
  /** `ovh-eu`, `ovh-ca`, `ovh-us`, or the base URL of an API. */
  readonly endpoint: string;
  readonly credentials: Credentials;
  /**
   * Time limit of one request.
   *
   * @default 60 s
   */
  readonly timeoutMs?: number;
  /**
   * First pause before a retry; it doubles each time.
   *
   * @default 500 ms
   */
  readonly retryMs?: number;
  /**
   * How often a request is sent at most.
   *
   * @default 4
   */
  readonly attempts?: number;
  /** @default globalThis.fetch */
  readonly fetch?: typeof fetch;
}

export interface RequestOptions {
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
const DEFAULT_ATTEMPTS = 4;
const LONGEST_PAUSE_MS = 30_000;

/** Base URL of an endpoint given by name or by URL. */
export function endpointUrl(endpoint: string): string {
  const url = ENDPOINTS[endpoint] ?? endpoint;
  if (!/^https?:\/\/[^/]+(\/.*[^/])?$/.test(url)) {
    throw new UserError(
      `ovh.endpoint: expected ovh-eu, ovh-ca, ovh-us or a URL without a trailing slash, got "${endpoint}"; correct technicia:ovh.endpoint`,
    );
  }
  return url;
}

/** Settings and secrets that hold OVH's keys, under their names in the stack; an absent one is undefined or empty. */
export type OvhSecrets = Readonly<
  Partial<
    Record<
      "ovhApplicationKey" | "ovhApplicationSecret" | "ovhConsumerKey" | "ovhClientId" | "ovhClientSecret",
      string | undefined
    >
  >
>;

/** Reads the keys of a stack; `none` when no set of them is complete. */
export function credentialsOf(secrets: OvhSecrets): Credentials {
  const { ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey, ovhClientId, ovhClientSecret } = secrets;
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
  readonly #timeoutMs: number;
  readonly #retryMs: number;
  readonly #attempts: number;
  readonly #fetch: typeof fetch;
  readonly #signer: Signer;

  constructor(options: ClientOptions) {
    this.baseUrl = endpointUrl(options.endpoint);
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#retryMs = options.retryMs ?? 500;
    this.#attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    this.#fetch = options.fetch ?? fetch;
    this.#signer = new Signer({
      baseUrl: this.baseUrl,
      credentials: options.credentials,
      getTime: (signal) => this.request<number>("GET", "/auth/time", undefined, { signal, isPublic: true }),
      fetch: this.#fetch,
      timeoutMs: this.#timeoutMs,
    });
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
    options: RequestOptions = {},
  ): Promise<Answer> {
    const search = options.query ? `?${new URLSearchParams(options.query).toString()}` : "";
    const url = this.#url(path) + search;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once<Answer>(method, { path, url, body, options });
      } catch (error) {
        if (!(error instanceof OvhError) || attempt === this.#attempts || !isWorthAnother(method, error))
          throw error;
        await delay(this.#pause(attempt, error), undefined, { signal: options.signal });
      }
    }
  }

  #url(path: string): string {
    return /^\/v\d+\//.test(path) ? this.baseUrl.replace(/\/1\.0$/, "") + path : this.baseUrl + path;
  }

  #pause(attempt: number, error: OvhError): number {
    const asked = retryAfter.get(error);
    return Math.min(asked ?? this.#retryMs * 2 ** (attempt - 1), LONGEST_PAUSE_MS);
  }

  async #once<Answer>(
    method: string,
    { path, url, body, options }: { path: string; url: string; body: unknown; options: RequestOptions },
  ): Promise<Answer> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const signed = options.isPublic
      ? {}
      : await this.#signer.headers({ method, url, body: text }, options.signal);
    const limit = AbortSignal.timeout(this.#timeoutMs);
    let response: Response;
    let answer: string;
    try {
      response = await this.#fetch(url, {
        method,
        // The server may close a kept connection at any time, and a POST that breaks must not be repeated.
        headers: { accept: "application/json", connection: "close", ...(text && JSON_BODY), ...signed },
        ...(text && { body: text }),
        redirect: "error",
        signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
      });
      answer = await response.text();
    } catch (cause) {
      options.signal?.throwIfAborted();
      const silence = limit.aborted ? "timeout" : "cut";
      throw new OvhError({ method, path, status: 0, silence, detail: causeCode(cause), cause });
    }
    if (!response.ok) {
      if (response.status === 401) this.#signer.forget();
      throw failed(response, answer, { method, path });
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

function failed(response: Response, answer: string, call: { method: string; path: string }): OvhError {
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

interface ErrorBody {
  readonly class?: string;
  readonly errorCode?: string;
  readonly message?: string;
  readonly details?: { readonly unauthorizedActionsByIAM?: string };
}

// A proxy in between answers with an HTML page of its own.
function readErrorBody(answer: string): ErrorBody {
  try {
    const body: unknown = JSON.parse(answer);
    if (typeof body === "object" && body !== null) return body;
  } catch {
    return answer
      ? {
          message:
            "no JSON: " +
            answer
              .replace(/<[^>]*>|\s+/g, " ")
              .trim()
              .slice(0, 120),
        }
      : {};
  }
  return {};
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

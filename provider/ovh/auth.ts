import { createHash } from "node:crypto";

import { UserError } from "../../common/user-error.ts";
import { OvhError } from "./errors.ts";

/** Three keys that sign each request, or a service account (OAuth2) that gets a token for them. */
export type Credentials =
  | {
      readonly kind: "keys";
      readonly applicationKey: string;
      readonly applicationSecret: string;
      readonly consumerKey: string;
    }
  | { readonly kind: "account"; readonly clientId: string; readonly clientSecret: string }
  | { readonly kind: "none" };

interface SignerOptions {
  readonly baseUrl: string;
  readonly credentials: Credentials;
  /** OVH's clock, in seconds. */
  readonly getTime: (signal: AbortSignal | undefined) => Promise<number>;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
}

interface Request {
  readonly method: string;
  /** Exactly as it is sent, query and escapes included. */
  readonly url: string;
  readonly body: string;
}

const TOKEN_URLS: readonly (readonly [RegExp, string])[] = [
  [/^https:\/\/(eu\.)?api\.ovh\.com\//, "https://www.ovh.com/auth/oauth2/token"],
  [/^https:\/\/ca\.api\.ovh\.com\//, "https://ca.ovh.com/auth/oauth2/token"],
  [/^https:\/\/api\.us\.ovhcloud\.com\//, "https://us.ovhcloud.com/auth/oauth2/token"],
];
const EARLY_MS = 60_000;

/** Authenticates requests. */
export class Signer {
  readonly #options: SignerOptions;
  #offset: Promise<number> | undefined;
  #token: { readonly value: string; readonly until: number } | undefined;

  constructor(options: SignerOptions) {
    this.#options = options;
  }

  /** Reads OVH's clock, which signatures need. It is retried by itself, so it comes before the attempts of a request. */
  async prepare(signal?: AbortSignal): Promise<void> {
    if (this.#options.credentials.kind === "keys") await this.#clockOffset(signal);
  }

  /** Headers that authenticate this request. */
  async headers(request: Request, signal?: AbortSignal): Promise<Record<string, string>> {
    const { credentials } = this.#options;
    switch (credentials.kind) {
      case "keys":
        return sign(request, credentials, Math.round(Date.now() / 1000) + (await this.#clockOffset(signal)));
      case "account":
        return { authorization: `Bearer ${await this.#bearer(credentials, signal)}` };
      case "none":
        throw new UserError(
          "ovh: expected keys of an OVH account, got none; set technicia:ovhApplicationKey, ovhApplicationSecret and " +
            "ovhConsumerKey, or ovhClientId and ovhClientSecret, with pulumi config set --secret",
        );
    }
  }

  /** Drops the token, after OVH refused a request. */
  forget(): void {
    this.#token = undefined;
  }

  // A signature is valid for some seconds only, and the clock of this machine may be wrong by more.
  #clockOffset(signal?: AbortSignal): Promise<number> {
    this.#offset ??= this.#options.getTime(signal).then((time) => time - Math.round(Date.now() / 1000));
    this.#offset.catch(() => (this.#offset = undefined));
    return this.#offset;
  }

  async #bearer(account: { clientId: string; clientSecret: string }, signal?: AbortSignal): Promise<string> {
    if (this.#token && this.#token.until > Date.now()) return this.#token.value;
    const url = tokenUrl(this.#options.baseUrl);
    const limit = AbortSignal.timeout(this.#options.timeoutMs);
    const path = new URL(url).pathname;
    let response: Response;
    let answer: { access_token?: string; expires_in?: number; error?: string; error_description?: string };
    try {
      response = await this.#options.fetch(url, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: account.clientId,
          client_secret: account.clientSecret,
          scope: "all",
        }).toString(),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      answer = (await response.json()) as typeof answer;
    } catch (cause) {
      signal?.throwIfAborted();
      throw new OvhError({
        method: "GET",
        path,
        status: 0,
        silence: limit.aborted ? "timeout" : "cut",
        cause,
      });
    }
    if (!response.ok || !answer.access_token) {
      throw new OvhError({
        method: "GET",
        path,
        status: response.status,
        errorClass: answer.error,
        message:
          `ovh: expected a token for the service account, got ${response.status} ${answer.error ?? ""}; ` +
          "set technicia:ovhClientId and technicia:ovhClientSecret to those of a service account of this endpoint",
      });
    }
    this.#token = {
      value: answer.access_token,
      until: Date.now() + (answer.expires_in ?? 0) * 1000 - EARLY_MS,
    };
    return this.#token.value;
  }
}

function tokenUrl(baseUrl: string): string {
  const found = TOKEN_URLS.find(([pattern]) => pattern.test(`${baseUrl}/`));
  if (found) return found[1];
  throw new UserError(
    `ovh.endpoint: expected ovh-eu, ovh-ca or ovh-us with a service account, got "${baseUrl}"; ` +
      "use an application key, its secret and a consumer key there",
  );
}

function sign(
  { method, url, body }: Request,
  keys: { applicationKey: string; applicationSecret: string; consumerKey: string },
  time: number,
): Record<string, string> {
  const text = [keys.applicationSecret, keys.consumerKey, method, url, body, String(time)].join("+");
  return {
    "x-ovh-application": keys.applicationKey,
    "x-ovh-consumer": keys.consumerKey,
    "x-ovh-timestamp": String(time),
    "x-ovh-signature": `$1$${createHash("sha1").update(text).digest("hex")}`,
  };
}

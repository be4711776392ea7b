import { setTimeout as delay } from "node:timers/promises";

import { textOf, UNKNOWN, type Failure, type Properties } from "../plugin.ts";

const DEFAULT_BASE = "https://api.cloudflare.com/client/v4/";
const TOKEN_SHAPE = /^[0-9A-Za-z\-_]{40,80}$/;
const MAX_RETRIES = 10;
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
const LONGEST_ASKED_WAIT_MS = 60_000;

/** Where the client finds what it needs. */
export interface CloudflareOptions {
  readonly config: Properties;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;

  /**
   * Passes the time between two attempts.
   *
   * @default waits
   */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

/** A request that the API answered with an error. */
export class CloudflareError extends Error {
  override readonly name = "CloudflareError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Judges the provider's arguments. A token from the environment is not judged. */
export function checkCloudflareConfig({ apiToken }: Properties): Failure[] {
  if (apiToken === undefined || apiToken === UNKNOWN || TOKEN_SHAPE.test(textOf(apiToken))) {
    return [];
  }
  return [
    {
      property: "apiToken",
      reason: "API tokens must be 40 to 80 characters of a-z, A-Z, 0-9, hyphens and underscores",
    },
  ];
}

/** Cloudflare's API as the official client calls it. */
export class CloudflareClient {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal;
  readonly #wait: (milliseconds: number) => Promise<void>;

  constructor({ config, environment, signal, wait }: CloudflareOptions) {
    const base = readText(config.baseUrl) ?? environment.CLOUDFLARE_BASE_URL ?? DEFAULT_BASE;
    this.#base = base.endsWith("/") ? base : `${base}/`;
    this.#headers = renderCredentials(config, environment);
    this.#signal = signal;
    this.#wait = wait ?? ((milliseconds) => delay(milliseconds, undefined, { signal }));
  }

  /** Gives the result of the call; tries again where the official client does. */
  async call(method: string, path: string, body?: Properties): Promise<Properties> {
    const url = new URL(path, this.#base).href;
    for (let retries = 0; ; retries += 1) {
      const attempt = await this.#attempt(method, url, body);
      if (attempt.response !== undefined && attempt.response.status < 400) {
        return (JSON.parse(attempt.text) as { result: Properties | null }).result ?? {};
      }
      if (retries === MAX_RETRIES || !isRetried(attempt.response)) {
        throw renderError({ method, url, ...attempt });
      }
      await this.#wait(readWait(attempt.response, retries));
    }
  }

  async #attempt(method: string, url: string, body: Properties | undefined): Promise<Attempt> {
    try {
      const response = await fetch(url, {
        method,
        headers: { ...this.#headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        signal: this.#signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { response, text: await response.text() };
    } catch (error) {
      this.#signal.throwIfAborted();
      const { message, cause } = error as Error;
      return { response: undefined, text: cause instanceof Error ? cause.message : message };
    }
  }
}

interface Attempt {
  /** Undefined when there was none; the text then says why. */
  readonly response: Response | undefined;
  readonly text: string;
}

function renderError({
  method,
  url,
  response,
  text,
}: Attempt & { method: string; url: string }): CloudflareError {
  const answer = response === undefined ? text : `${response.status} ${response.statusText} ${text}`;
  return new CloudflareError(
    response?.status ?? 0,
    `failed to make http request: ${method} "${url}": ${answer}`,
  );
}

function isRetried(response: Response | undefined): boolean {
  const advice = response?.headers.get("x-should-retry");
  if (advice === "true" || advice === "false") {
    return advice === "true";
  }
  return response === undefined || [408, 409, 429].includes(response.status) || response.status >= 500;
}

function readWait(response: Response | undefined, retries: number): number {
  const asked = readAskedWait(response);
  if (asked !== undefined && asked >= 0 && asked < LONGEST_ASKED_WAIT_MS) {
    return asked;
  }
  const wait = Math.min(FIRST_WAIT_MS * 2 ** retries, LONGEST_WAIT_MS);
  return wait * (1 - Math.random() / 4);
}

function readAskedWait(response: Response | undefined): number | undefined {
  const milliseconds = response?.headers.get("retry-after-ms");
  const seconds = response?.headers.get("retry-after");
  if (milliseconds) {
    return Number(milliseconds);
  }
  if (seconds) {
    return Number.isNaN(Number(seconds)) ? Date.parse(seconds) - Date.now() : Number(seconds) * 1000;
  }
  return undefined;
}

function renderCredentials(config: Properties, environment: NodeJS.ProcessEnv): Record<string, string> {
  const token = readText(config.apiToken) ?? environment.CLOUDFLARE_API_TOKEN;
  if (token !== undefined) {
    return { authorization: `Bearer ${token}` };
  }
  const key = readText(config.apiKey) ?? environment.CLOUDFLARE_API_KEY;
  const email = readText(config.email) ?? environment.CLOUDFLARE_EMAIL;
  if (key !== undefined && email !== undefined) {
    return { "x-auth-key": key, "x-auth-email": email };
  }
  throw new Error(
    'cloudflare: expected credentials, got none; give the provider "apiToken", or "apiKey" and "email", ' +
      "or set CLOUDFLARE_API_TOKEN",
  );
}

function readText(value: Properties[string] | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

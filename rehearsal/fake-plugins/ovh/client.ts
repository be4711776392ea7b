import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import { textOf, type Properties, type Value } from "../plugin.ts";

const ENDPOINTS: Readonly<Record<string, { readonly api: string; readonly tokens?: string }>> = {
  "ovh-eu": { api: "https://eu.api.ovh.com/1.0", tokens: "https://www.ovh.com/auth/oauth2/token" },
  "ovh-ca": { api: "https://ca.api.ovh.com/1.0", tokens: "https://ca.ovh.com/auth/oauth2/token" },
  "ovh-us": { api: "https://api.us.ovhcloud.com/1.0", tokens: "https://us.ovhcloud.com/auth/oauth2/token" },
};
const REQUEST_SECONDS = 180;

/** Where the client finds what it needs. */
export interface OvhOptions {
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

/** An answer of the API that is no success. */
export class OvhError extends Error {
  override readonly name = "OvhError";
  readonly status: number;

  constructor(status: number, { message, class: kind }: { message?: string; class?: string }) {
    const text = JSON.stringify(message ?? "");
    super(`OVHcloud API error (status code ${status}): ${kind === undefined ? "" : `${kind}: `}${text}`);
    this.status = status;
  }
}

interface Credentials {
  readonly api: string;
  readonly signing?: { readonly key: string; readonly secret: string; readonly consumer: string };
  readonly bearer?: string;
  readonly client?: { readonly id: string; readonly secret: string; readonly tokens: string };
}

/** Gives a client once the API has confirmed that its credentials are good, as the official plugin does. */
export async function connectOvh(options: OvhOptions): Promise<OvhClient> {
  const credentials = readCredentials(options.config, options.environment);
  let client = new OvhClient(credentials, options);

  try {
    // Twice, since the official plugin is two providers behind one door, each with a client of its own.
    for (let half = 0; half < 2; half += 1) {
      client = new OvhClient(credentials, options);
      await client.call("GET", "/auth/details");
    }
  } catch (error) {
    if (readConfig(options, "ignoreInitError", "OVH_IGNORE_INIT_ERROR") !== "true") {
      throw new Error(`OVH client seems to be misconfigured: ${JSON.stringify((error as Error).message)}`, {
        cause: error,
      });
    }
  }
  return client;
}

/** OVH's API as the official client calls it: no retries, a generous time limit. */
export class OvhClient {
  readonly wait: (milliseconds: number) => Promise<void>;
  readonly #credentials: Credentials;
  readonly #signal: AbortSignal;
  #clockDifference: Promise<number> | undefined;
  #token: Promise<string> | undefined;

  constructor(credentials: Credentials, { signal, wait }: OvhOptions) {
    this.#credentials = credentials;
    this.#signal = signal;
    this.wait = wait ?? ((milliseconds) => delay(milliseconds, undefined, { signal }));
  }

  /** Gives the answer's body, null when it has none. */
  async call(method: string, path: string, body?: Properties): Promise<Value> {
    const url = `${this.#credentials.api}${path}`;
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      ...(await this.#authorize(method, url, text)),
      ...(body === undefined ? {} : { "content-type": "application/json;charset=utf-8" }),
    };
    return this.#send(url, { method, headers, ...(body === undefined ? {} : { body: text }) });
  }

  async #authorize(method: string, url: string, body: string): Promise<Record<string, string>> {
    const { signing, bearer, client } = this.#credentials;
    if (signing !== undefined) {
      this.#clockDifference ??= this.#askClockDifference();
      const timestamp = String(Math.floor(Date.now() / 1000) - (await this.#clockDifference));
      const text = [signing.secret, signing.consumer, method, url, body, timestamp].join("+");
      return {
        "x-ovh-application": signing.key,
        "x-ovh-timestamp": timestamp,
        "x-ovh-consumer": signing.consumer,
        "x-ovh-signature": `$1$${createHash("sha1").update(text).digest("hex")}`,
      };
    }

    this.#token ??= client === undefined ? Promise.resolve(bearer ?? "") : this.#askToken(client);
    return { authorization: `Bearer ${await this.#token}` };
  }

  async #askClockDifference(): Promise<number> {
    const theirs = await this.#send(`${this.#credentials.api}/auth/time`, { method: "GET" });
    return Math.floor(Date.now() / 1000) - Number(theirs);
  }

  async #askToken({ id, secret, tokens }: NonNullable<Credentials["client"]>): Promise<string> {
    const form = { grant_type: "client_credentials", client_id: id, client_secret: secret, scope: "all" };
    const answer = await this.#send(tokens, { method: "POST", body: new URLSearchParams(form) });
    return textOf((answer as Properties).access_token);
  }

  async #send(url: string, init: RequestInit): Promise<Value> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_SECONDS * 1000)]);
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, { ...init, signal });
      text = await response.text();
    } catch (error) {
      this.#signal.throwIfAborted();
      const { message, cause } = error as Error;
      throw new Error(
        `${init.method ?? "GET"} "${url}": ${cause instanceof Error ? cause.message : message}`,
        { cause: error },
      );
    }

    if (!response.ok) {
      throw new OvhError(response.status, readProblem(text));
    }
    return text === "" ? null : (JSON.parse(text) as Value);
  }
}

/** A part of a path, escaped as the official client does it: the characters that an IPv6 address has stay. */
export function escapePath(part: string): string {
  return encodeURIComponent(part).replace(/%(3A|40|24|26|2B|3D)/g, decodeURIComponent);
}

function readProblem(text: string): { message?: string; class?: string } {
  try {
    return JSON.parse(text) as { message?: string; class?: string };
  } catch {
    return { message: text };
  }
}

function readConfig(
  { config, environment }: Pick<OvhOptions, "config" | "environment">,
  key: string,
  variable: string,
): string {
  const value = config[key];
  return value === undefined || value === null || value === ""
    ? (environment[variable] ?? "")
    : textOf(value);
}

function readCredentials(config: Properties, environment: NodeJS.ProcessEnv): Credentials {
  const read = (key: string, variable: string): string => readConfig({ config, environment }, key, variable);
  const name = read("endpoint", "OVH_ENDPOINT");
  const endpoint = name.includes("/") ? { api: name } : ENDPOINTS[name];
  if (endpoint === undefined || endpoint.api.endsWith("/")) {
    throw new Error(
      `ovh: expected an endpoint such as "ovh-eu" or a URL without a slash at its end, got ${JSON.stringify(name)}`,
    );
  }

  const key = read("applicationKey", "OVH_APPLICATION_KEY");
  const secret = read("applicationSecret", "OVH_APPLICATION_SECRET");
  const consumer = read("consumerKey", "OVH_CONSUMER_KEY");
  const bearer = read("accessToken", "OVH_ACCESS_TOKEN");
  const id = read("clientId", "OVH_CLIENT_ID");
  const clientSecret = read("clientSecret", "OVH_CLIENT_SECRET");

  const ways = [
    key !== "" || secret !== "" || consumer !== "",
    bearer !== "",
    id !== "" || clientSecret !== "",
  ];
  if (ways.filter(Boolean).length !== 1) {
    throw new Error(
      "ovh: expected one way to log in (application key, application secret and consumer key; or access token; or " +
        `client id and secret), got ${ways.some(Boolean) ? "more than one" : "none"}; the environment counts too`,
    );
  }
  if (ways[2] === true) {
    const { api, tokens } = endpoint;
    if (tokens === undefined || id === "" || clientSecret === "") {
      throw new Error(
        "ovh: expected both client id and client secret and one of OVH's own endpoints with them",
      );
    }
    return { api, client: { id, secret: clientSecret, tokens } };
  }
  if (ways[1] === true) {
    return { api: endpoint.api, bearer };
  }
  if (key === "" || secret === "" || consumer === "") {
    throw new Error(
      "ovh: expected application key, application secret and consumer key together, got only some of them",
    );
  }
  return { api: endpoint.api, signing: { key, secret, consumer } };
}

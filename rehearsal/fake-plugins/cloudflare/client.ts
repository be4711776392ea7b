import type Cloudflare from "cloudflare";

import { reasonOf } from "../../../common/reason.ts";
import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { textOf, type Failure, type Properties } from "../plugin.ts";

const TOKEN_SHAPE = /^[0-9A-Za-z\-_]{40,80}$/;

/** How often the official plugin retries. */
const MAX_RETRIES = 10;

/** A request that failed; without a status when there was no answer. */
export class CloudflareError extends Error {
  override readonly name = "CloudflareError";
  readonly status: number | undefined;

  constructor(request: string, cause: Error & { readonly status?: number }) {
    // Of a broken connection, only the inner error says why.
    const reason =
      cause.cause instanceof Error ? `${cause.message} (${reasonOf(cause.cause)})` : cause.message;
    super(`${request}: ${reason}`, { cause });
    this.status = cause.status;
  }
}

/** Calls Cloudflare's API and returns the `result` of the answer. */
export type CallCloudflare = (
  method: "get" | "post" | "put" | "delete",
  path: string,
  body?: Properties,
) => Promise<Properties>;

/** Checks the provider's arguments. A token from the environment is not checked. */
export function checkCloudflareConfig({ apiToken }: Properties): Failure[] {
  if (apiToken === undefined || apiToken === UNKNOWN || TOKEN_SHAPE.test(textOf(apiToken))) {
    return [];
  }
  return [
    {
      // With a property, the engine would print its value.
      property: "",
      reason: "API tokens must be 40 to 80 characters of a-z, A-Z, 0-9, hyphens and underscores",
    },
  ];
}

/** Gives the vendor's client, which takes from the environment what the provider's arguments leave out. */
export function openCloudflare(config: Properties, signal: AbortSignal): CallCloudflare {
  let client: Promise<Cloudflare> | undefined;
  return async (method, path, body) => {
    // It takes half a second to load, and a preview calls nothing.
    client ??= connect(config);
    const api = await client;
    try {
      const { result } = await api[method]<{ result: Properties | null }>(path, { body, signal });
      return result ?? {};
    } catch (error) {
      throw new CloudflareError(`${method.toUpperCase()} ${path}`, error as Error);
    }
  };
}

async function connect(config: Properties): Promise<Cloudflare> {
  const { default: Client } = await import("cloudflare");
  const client = new Client({
    ...given("apiToken", config.apiToken),
    ...given("apiKey", config.apiKey),
    ...given("apiEmail", config.email),
    ...given("baseURL", config.baseUrl),
    maxRetries: MAX_RETRIES,
  });
  if (client.apiToken === null && (client.apiKey === null || client.apiEmail === null)) {
    throw new Error(
      'cloudflare: credentials are missing; give the provider "apiToken", or "apiKey" and "email", or set CLOUDFLARE_API_TOKEN',
    );
  }
  return client;
}

function given(name: string, value: Properties[string] | undefined): Record<string, string> {
  return typeof value === "string" && value !== "" ? { [name]: value } : {};
}

/** Cloudflare's API, over its own package. Every call is sent once. */
import type { Cloudflare } from "cloudflare";

import { UserError } from "../../common/user-error.ts";
import { type Answer, readAnswer, Unreachable } from "./http.ts";

export interface CloudflareOptions {
  /** Empty for Cloudflare's own. */
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs?: number;
}

const BASE_URL = "https://api.cloudflare.com/client/v4";

/** The package takes about half a second to load, so it is loaded only by a stack that uses Cloudflare. */
const load = () => import("cloudflare");

export async function openCloudflare(options: CloudflareOptions): Promise<Cloudflare> {
  const { baseUrl, token, fetch, timeoutMs } = options;
  if (token === "") {
    throw new UserError(
      "Cloudflare: cloudflareApiToken is not set; run pulumi config set --secret technicia:cloudflareApiToken",
    );
  }
  const { Cloudflare } = await load();
  return new Cloudflare({
    apiToken: token,
    // The package would take these from the environment, where they belong to something else.
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    baseURL: baseUrl || BASE_URL,
    fetch,
    fetchOptions: { redirect: "error" },
    maxRetries: 0,
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    logLevel: "off",
  });
}

export interface CloudflareFailure {
  /** Undefined without an answer. */
  readonly status: number | undefined;
  readonly headers: Headers | undefined;
  readonly errors: readonly { readonly code?: number; readonly message?: string }[];
  readonly cause: unknown;
}

/** What Cloudflare said to a failed call; undefined for any other error. */
export async function readFailure(error: unknown): Promise<CloudflareFailure | undefined> {
  const { APIError } = await load();
  if (!(error instanceof APIError)) return undefined;
  const { status, headers, errors, cause = error } = error as InstanceType<typeof APIError>;
  return { status, headers, errors, cause };
}

/**
 * Status, headers and body of one call; the body of a refusal is left out.
 *
 * @throws Unreachable without an answer
 */
export async function askCloudflare(
  client: Cloudflare,
  request: Parameters<Cloudflare["request"]>[0] & { readonly signal: AbortSignal },
): Promise<Answer> {
  try {
    return await readAnswer(await client.request(request).asResponse());
  } catch (error) {
    request.signal.throwIfAborted();
    const failure = await readFailure(error);
    if (!failure) throw error;
    const { status, headers = new Headers(), cause } = failure;
    if (status === undefined) throw new Unreachable(client.baseURL, cause);
    return { status, headers, body: undefined };
  }
}

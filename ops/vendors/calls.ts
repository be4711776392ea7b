/** Calls to the vendors' APIs. Each is sent once, so that a check ends within its limit. */
import type { APIError, Cloudflare } from "cloudflare";

import { call, readAnswer, Unreachable, type Answer, type CallOptions } from "../../common/http.ts";
import { UserError } from "../../common/user-error.ts";
import type { OvhClient } from "../../provider/ovh/client.ts";
import { OvhError } from "../../provider/ovh/errors.ts";

export { call, Unreachable, type Answer, type CallOptions };

/**
 * Status and body of a GET; a body other than a success is left out.
 *
 * @throws Unreachable without an answer
 */
export async function readOvh(
  client: OvhClient,
  request: { readonly path: string; readonly signal: AbortSignal; readonly isPublic?: boolean },
): Promise<Pick<Answer, "status" | "body">> {
  const { path, ...options } = request;
  try {
    return { status: 200, body: await client.get<unknown>(path, options) };
  } catch (error) {
    if (!(error instanceof OvhError)) throw error;
    if (error.status === 0) throw new Unreachable(client.baseUrl, error.cause ?? error);
    return { status: error.status, body: undefined };
  }
}

const BASE_URL = "https://api.cloudflare.com/client/v4";

/** The package takes about half a second to load, so it is loaded only by a stack that uses Cloudflare. */
const load = () => import("cloudflare");

/** An empty base URL stands for Cloudflare's own. */
export async function openCloudflare(options: {
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs?: number;
}): Promise<Cloudflare> {
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

/** What Cloudflare said to a failed call, without a status when it did not answer; undefined for any other error. */
export async function readFailure(error: unknown): Promise<APIError | undefined> {
  const { APIError } = await load();
  return error instanceof APIError ? (error as APIError) : undefined;
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
    const { status, headers = new Headers(), cause = error } = failure;
    if (status === undefined) throw new Unreachable(client.baseURL, cause);
    return { status, headers, body: undefined };
  }
}

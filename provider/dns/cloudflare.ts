/** Cloudflare's API, which only the programs that use its zones load. */
import type { APIError, Cloudflare } from "cloudflare";

import { UserError } from "../../common/user-error.ts";

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

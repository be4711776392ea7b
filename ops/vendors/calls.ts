/** Calls to the vendors' APIs. Each is sent once, so that a check ends within its limit. */
import type { Cloudflare } from "cloudflare";

import { call, readAnswer, Unreachable, type Answer, type CallOptions } from "../../common/http.ts";
import { readFailure } from "../../provider/dns/cloudflare.ts";
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

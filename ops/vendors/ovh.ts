/** OVH's API, read for the checks: every call is sent once, so that a check ends within its limit. */
import { credentialsOf, OvhClient } from "../../provider/ovh/client.ts";
import { OvhError } from "../../provider/ovh/errors.ts";
import { type Answer, Unreachable } from "./http.ts";

export interface OvhOptions {
  readonly endpoint: string;
  readonly secrets: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
}

export function openOvh({ endpoint, secrets, fetch }: OvhOptions): OvhClient {
  return new OvhClient({ endpoint, credentials: credentialsOf(secrets), attempts: 1, fetch });
}

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

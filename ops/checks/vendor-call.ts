/** One call of a vendor's API, and what its refusals mean for a key. */
import { failed, type Finding, notChecked, reasonOf } from "./finding.ts";
import type { World } from "./world.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; undefined when it is none. */
  readonly body: unknown;
}

/** What the calls of one service tell of its key, and of what may still be called. */
export interface KeyFindings {
  readonly key: Finding;
  /** Undefined where the service has no limit that matters here. */
  readonly quota: Finding | undefined;
  /** Whether the key may do what it should not; undefined where that means nothing. */
  readonly access?: Finding;
}

/** Thrown for a service that cannot be asked: nothing is known of the key then. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

export async function call(
  world: World,
  url: string,
  init: RequestInit & { readonly signal: AbortSignal },
): Promise<Answer> {
  let response: Response;
  try {
    response = await world.fetch(url, { redirect: "error", ...init });
  } catch (error) {
    init.signal.throwIfAborted();
    throw new Unreachable(`${new URL(url).host} est injoignable d'ici (${reasonOf(error)})`);
  }
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parse(text) };
}

/** What another status than 2xx says of a key; undefined for 2xx. The vendor's own text is left out: some quote the key. */
export function refusal(vendor: string, secret: string, { status }: Answer): Finding | undefined {
  if (status >= 200 && status < 300) return undefined;
  const remedy = `à remplacer : pulumi config set --secret technicia:${secret}`;
  if (status === 401) return failed(`${vendor} refuse la clé (401) ; ${remedy}`);
  if (status === 403)
    return failed(`${vendor} : la clé n'a pas le droit de faire cet appel (403) ; ${remedy}`);
  if (status === 429) return notChecked(`${vendor} limite les appels (429) : la clé n'a pas pu être jugée`);
  if (status >= 500) return notChecked(`${vendor} répond ${status} : la clé n'a pas pu être jugée`);
  return failed(`${vendor} répond ${status} à un appel qui devrait réussir`);
}

/** The same findings when the service cannot be asked. */
export function unasked(reason: string): KeyFindings {
  return { key: notChecked(reason), quota: notChecked(reason), access: notChecked(reason) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One HTTP call of a vendor's API. */
import { reasonOf } from "../../common/reason.ts";

/** What makes the requests: `globalThis`, or a test's stand-in. */
export type Fetching = Pick<typeof globalThis, "fetch">;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; undefined when it is none. */
  readonly body: unknown;
}

/** Thrown for a service that cannot be asked: nothing is known of the key then. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

export async function call(
  world: Fetching,
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

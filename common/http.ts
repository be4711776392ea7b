/** One HTTP call, sent once, so that a check ends within its limit. */
import { reasonOf } from "./reason.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; undefined when the text is none. */
  readonly body: unknown;
}

export type CallOptions = RequestInit & {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
};

/** A service that does not answer: nothing is known about its keys or images then. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";

  constructor(url: string, cause: unknown) {
    super(`${new URL(url).host} est injoignable d'ici (${reasonOf(cause)})`, { cause });
  }
}

/** @throws Unreachable without an answer, whatever its status */
export async function call(url: string, { fetch: send, ...init }: CallOptions): Promise<Answer> {
  let response: Response;
  try {
    response = await send(url, { redirect: "error", ...init });
  } catch (error) {
    init.signal.throwIfAborted();
    throw new Unreachable(url, error);
  }
  return readAnswer(response);
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // Only the status counts then.
  }
  return { status: response.status, headers: response.headers, body };
}

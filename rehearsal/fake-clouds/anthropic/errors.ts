import { randomBytes } from "node:crypto";

import type { Fault } from "../api/faults.ts";

/** Anthropic's types of errors and the status of each. */
const STATUS = {
  invalid_request_error: 400,
  authentication_error: 401,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  overloaded_error: 529,
} as const;
export type ErrorType = keyof typeof STATUS;

/** A refusal in Anthropic's envelope. */
export class AnthropicError extends Error {
  readonly type: ErrorType;
  readonly headers: Readonly<Record<string, string>>;

  constructor(type: ErrorType, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.type = type;
    this.headers = headers;
  }

  get status(): number {
    return STATUS[this.type];
  }
}

/** The body of an error; also the data of an `error` event in the middle of a stream. */
export function renderError(type: ErrorType, message: string, requestId: string = newId("req")): unknown {
  return { type: "error", error: { type, message }, request_id: requestId };
}

/** `req_…`, `msg_…` or `toolu_…`, as Anthropic writes identifiers. */
export function newId(kind: "req" | "msg" | "toolu"): string {
  return `${kind}_01${randomBytes(11).toString("hex")}`;
}

/** A fault that answers as Anthropic does under load: 529 for everybody, or 429 for this account, with the seconds to wait. */
export function busy(
  type: "overloaded_error" | "rate_limit_error",
  { times, retryAfterSeconds }: { readonly times: number; readonly retryAfterSeconds: number },
): Fault {
  const message =
    type === "overloaded_error"
      ? "Overloaded"
      : "This request would exceed your organization's rate limit of requests per minute.";
  return {
    ...{ api: "anthropic", method: "POST", path: "^/messages$", times, status: STATUS[type] },
    headers: { "retry-after": String(retryAfterSeconds) },
    body: renderError(type, message),
  };
}

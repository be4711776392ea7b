import { type Clock, systemClock } from "../clock.ts";
import { type RateLimit, RequestCounter, type Standing } from "../api/limits.ts";
import { type ApiAnswer, type ApiRequest, Router } from "../api/routes.ts";
import type { ServedApi } from "../api/server.ts";
import { AnthropicError, newId, renderError } from "./errors.ts";
import { replyTo, streamOf } from "./message.ts";
import { findModel, listModels } from "./models.ts";
import { readMessageRequest } from "./request.ts";

export const ANTHROPIC_HOST = "api.anthropic.com";

/** Versions of the API, of its header `anthropic-version`. */
const VERSIONS = ["2023-01-01", "2023-06-01"];
const LARGEST_BODY = 32 * 1024 * 1024;

export interface AnthropicOptions {
  readonly keys: readonly string[];
  /** @default 1000 in a minute */
  readonly rateLimit?: RateLimit;
  /** @default the machine's own */
  readonly clock?: Clock;
}

/** Anthropic's API: its models, and a model that answers from the passages that it is given. */
export function anthropicApi({ keys, rateLimit, clock = systemClock }: AnthropicOptions): ServedApi {
  const counter = new RequestCounter(rateLimit ?? { requests: 1000, windowSeconds: 60 }, clock);
  const router = new Router({
    "GET /models": ({ query }): ApiAnswer => ({ status: 200, body: listModels(query) }),
    "GET /models/{id}": (_, { id = "" }): ApiAnswer => ({ status: 200, body: findModel(id) }),
    "POST /messages": (request): ApiAnswer => {
      const headers = limitHeaders(counter.count(request.headers["x-api-key"] ?? ""));
      const asked = readMessageRequest(request);
      const message = replyTo(asked);
      if (!asked.isStreamed) return { status: 200, body: message, headers };
      const type = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
      return { status: 200, stream: streamOf(message), headers: { ...headers, ...type } };
    },
  });
  const answer = (request: ApiRequest): ApiAnswer => {
    if (Buffer.byteLength(request.rawBody) > LARGEST_BODY)
      throw new AnthropicError("request_too_large", "Request exceeds the maximum size");
    authenticate(request, keys);
    const found = router.find(request.method, request.path);
    if (found.kind === "unknown") throw new AnthropicError("not_found_error", "Not found");
    if (found.kind === "wrongMethod") throw new AnthropicError("invalid_request_error", "Method Not Allowed");
    return found.handler(request, found.params) as ApiAnswer;
  };
  return {
    api: "anthropic",
    basePaths: ["/v1"],
    headers: () => ({ "request-id": newId("req") }),
    answer: (request) => {
      try {
        return Promise.resolve(answer(request));
      } catch (error) {
        const known =
          error instanceof AnthropicError ? error : new AnthropicError("api_error", String(error));
        const { status, type, message, headers } = known;
        return Promise.resolve({ status, body: renderError(type, message), headers });
      }
    },
  };
}

function authenticate({ headers }: ApiRequest, keys: readonly string[]): void {
  const key = headers["x-api-key"];
  if (key === undefined) throw new AnthropicError("authentication_error", "x-api-key header is required");
  if (!keys.includes(key)) throw new AnthropicError("authentication_error", "invalid x-api-key");
  const version = headers["anthropic-version"];
  if (version === undefined)
    throw new AnthropicError("invalid_request_error", "anthropic-version: header is required");
  if (!VERSIONS.includes(version)) {
    const message = `anthropic-version: "${version}" is not a valid version.`;
    throw new AnthropicError("invalid_request_error", message);
  }
}

/** Headers for the answer. @throws AnthropicError when the limit is passed */
function limitHeaders({ isOver, limit, remaining, secondsLeft, resetAt }: Standing): Record<string, string> {
  const headers = {
    "anthropic-ratelimit-requests-limit": String(limit),
    "anthropic-ratelimit-requests-remaining": String(remaining),
    "anthropic-ratelimit-requests-reset": new Date(resetAt).toISOString().replace(/\.\d+Z$/, "Z"),
  };
  if (!isOver) return headers;
  const message = `This request would exceed your organization's rate limit of ${limit} requests per minute.`;
  throw new AnthropicError("rate_limit_error", message, { ...headers, "retry-after": String(secondsLeft) });
}

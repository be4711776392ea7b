import { type Clock, systemClock } from "../clock.ts";
import { type ApiAnswer, type ApiRequest, type Params, Router } from "../api/routes.ts";
import type { ServedApi } from "../api/server.ts";
import {
  DOCUMENT_AI_HOSTS,
  findProcessor,
  type Processor,
  processDocument,
  renderProcessor,
} from "./documents.ts";
import { GoogleError, OauthError } from "./errors.ts";
import { annotate, VISION_HOST } from "./images.ts";
import { type ServiceAccount, TOKEN_HOST, Tokens } from "./tokens.ts";

export const GOOGLE_HOSTS: readonly string[] = [TOKEN_HOST, VISION_HOST, ...Object.keys(DOCUMENT_AI_HOSTS)];

export interface GoogleOptions {
  readonly accounts: readonly ServiceAccount[];
  /** Processors that those accounts may use. */
  readonly processors: readonly Processor[];
  /** @default the machine's own */
  readonly clock?: Clock;
}

const PROCESSORS = "/v1/projects/{project}/locations/{location}/processors/{id}";

/** Google's tokens, Document AI and Vision, whichever of their hosts a request names. */
export function googleApi({ accounts, processors, clock = systemClock }: GoogleOptions): ServedApi {
  const tokens = new Tokens(accounts, clock);
  const processorOf = (request: ApiRequest, params: Params): Processor => {
    tokens.require(request, "documentai");
    return findProcessor(processors, { request, params });
  };
  const router = new Router({
    "POST /token": (request) => tokens.issue(request),
    [`GET ${PROCESSORS}`]: (request, params) => renderProcessor(processorOf(request, params)),
    [`POST ${PROCESSORS}`]: (request, params) => {
      const [, id] = /^([^:]+):process$/.exec(params["id"] ?? "") ?? [];
      if (id === undefined) throw notFound(request);
      return processDocument(processorOf(request, { ...params, id }), readBody(request));
    },
    "POST /v1/images:annotate": (request) => {
      tokens.require(request, "vision");
      return annotate(readBody(request));
    },
  });
  return {
    api: "google",
    basePaths: [""],
    headers: () => ({}),
    answer: async (request): Promise<ApiAnswer> => {
      try {
        const found = router.find(request.method, request.path);
        if (found.kind !== "found") throw notFound(request);
        return { status: 200, body: await found.handler(request, found.params) };
      } catch (error) {
        if (error instanceof OauthError)
          return { status: 400, body: { error: error.error, error_description: error.message } };
        const known = error instanceof GoogleError ? error : new GoogleError("INTERNAL", String(error));
        return { status: known.status, body: known.render() };
      }
    },
  };
}

function notFound({ method, path }: ApiRequest): GoogleError {
  return new GoogleError("NOT_FOUND", `Method not found: ${method} ${path}`);
}

function readBody({ rawBody }: ApiRequest): object {
  try {
    const value: unknown = JSON.parse(rawBody);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Refused below.
  }
  throw new GoogleError("INVALID_ARGUMENT", "Invalid JSON payload received.");
}

import { type Clock, systemClock } from "../clock.ts";
import { type RateLimit, RequestCounter } from "../api/limits.ts";
import { type ApiAnswer, type ApiRequest, Router } from "../api/routes.ts";
import type { ServedApi } from "../api/server.ts";
import { tokensIn } from "../words.ts";
import { embed } from "./embedding.ts";

export const VOYAGE_HOST = "api.voyageai.com";

/** What VoyageAI's documentation says of each model of texts: sizes of a vector, the usual one first, and tokens of one request. */
const MODELS: Readonly<Record<string, { readonly sizes: readonly number[]; readonly tokens: number }>> = {
  "voyage-3": { sizes: [1024], tokens: 320_000 },
  "voyage-3-lite": { sizes: [512], tokens: 1_000_000 },
  "voyage-3-large": { sizes: [1024, 256, 512, 2048], tokens: 120_000 },
  "voyage-3.5": { sizes: [1024, 256, 512, 2048], tokens: 320_000 },
  "voyage-3.5-lite": { sizes: [1024, 256, 512, 2048], tokens: 1_000_000 },
};
const LARGEST_BATCH = 1000;
/** Of one text; what is longer is cut unless the caller forbids it. */
const CONTEXT_TOKENS = 32_000;
const ARGUMENTS = [
  ...["input", "model", "input_type", "truncation"],
  ...["output_dimension", "output_dtype", "encoding_format"],
];

export interface VoyageOptions {
  /** Keys of the account; a `*` at the end stands for any letters. */
  readonly keys: readonly string[];
  /** @default VoyageAI's of an account with a means of payment: 2000 in a minute */
  readonly rateLimit?: RateLimit;
  /** @default the machine's own */
  readonly clock?: Clock;
}

/** A refusal as VoyageAI words it. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
  }
}

/** VoyageAI's API of embeddings. */
export function voyageApi({ keys, rateLimit, clock = systemClock }: VoyageOptions): ServedApi {
  const counter = new RequestCounter(rateLimit ?? { requests: 2000, windowSeconds: 60 }, clock);
  const router = new Router({ "POST /embeddings": (request) => embeddings(readBody(request)) });
  const answer = (request: ApiRequest): ApiAnswer => {
    const found = router.find(request.method, request.path);
    if (found.kind === "unknown") throw new Refusal(404, "Not Found");
    if (found.kind === "wrongMethod") throw new Refusal(405, "Method Not Allowed");
    const { isOver, secondsLeft } = counter.count(authenticate(request, keys));
    if (isOver) {
      const detail = "You have exceeded your rate limit of requests per minute. Please try again later.";
      throw new Refusal(429, detail, { "retry-after": String(secondsLeft) });
    }
    return { status: 200, body: found.handler(request, found.params) };
  };
  return {
    api: "voyage",
    basePaths: ["/v1"],
    headers: () => ({}),
    answer: (request) => {
      try {
        return Promise.resolve(answer(request));
      } catch (error) {
        const { status, message, headers } =
          error instanceof Refusal ? error : new Refusal(500, String(error));
        return Promise.resolve({ status, body: { detail: message }, headers });
      }
    },
  };
}

function authenticate(request: ApiRequest, keys: readonly string[]): string {
  const [, key] = /^Bearer (\S+)$/.exec(request.headers["authorization"] ?? "") ?? [];
  if (key === undefined) {
    throw new Refusal(
      401,
      'You forgot to provide an API key in the "Authorization" header of the form "Bearer <key>".',
    );
  }
  const isKnown = keys.some((known) =>
    known.endsWith("*") ? key.startsWith(known.slice(0, -1)) : key === known,
  );
  if (!isKnown) throw new Refusal(401, "Provided API key is invalid.");
  return key;
}

function readBody({ rawBody }: ApiRequest): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(rawBody);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Refused below like everything else that is no object.
  }
  throw new Refusal(400, "The request body is not valid JSON.");
}

function embeddings(body: Readonly<Record<string, unknown>>): unknown {
  const unknown = Object.keys(body).find((name) => !ARGUMENTS.includes(name));
  if (unknown !== undefined) throw new Refusal(400, `Argument '${unknown}' is not supported by our API.`);
  const { name, size, tokens } = readModel(body);
  readKind(body);
  const texts = readTexts(body);
  const counted = texts.map((text) => tokensIn(text));
  const longest = counted.findIndex((count) => count > CONTEXT_TOKENS);
  if (longest >= 0 && body["truncation"] === false) {
    throw new Refusal(
      400,
      `Request to model '${name}' failed. The example at index ${longest} in your batch has too many tokens and does not fit into the ` +
        `model's context window of ${CONTEXT_TOKENS} tokens. Please lower the number of tokens in the listed example(s) or use truncation.`,
    );
  }
  const total = counted.reduce((sum, count) => sum + Math.min(count, CONTEXT_TOKENS), 0);
  if (total > tokens) {
    throw new Refusal(
      400,
      `Request to model '${name}' failed. The max allowed tokens per submitted batch is ${tokens}. Your batch has ${total} tokens after ` +
        "truncation. Please lower the number of tokens in the batch.",
    );
  }
  return {
    object: "list",
    data: texts.map((text, index) => ({ object: "embedding", embedding: embed(text, size), index })),
    model: name,
    usage: { total_tokens: total },
  };
}

function readModel({ model, output_dimension: wanted }: Readonly<Record<string, unknown>>) {
  if (typeof model !== "string") throw new Refusal(400, "Argument 'model' is required.");
  const known = MODELS[model];
  if (known === undefined) {
    throw new Refusal(
      400,
      `Model ${model} is not supported. Supported models are ${JSON.stringify(Object.keys(MODELS))}.`,
    );
  }
  const [usual = 0] = known.sizes;
  const size = wanted === undefined || wanted === null ? usual : Number(wanted);
  if (!known.sizes.includes(size)) {
    throw new Refusal(
      400,
      `Value '${size}' provided for argument 'output_dimension' is not valid for model ${model}.`,
    );
  }
  return { name: model, size, tokens: known.tokens };
}

/** Refuses what would give other vectors than those that this fake gives. */
function readKind(body: Readonly<Record<string, unknown>>): void {
  const allowed: Readonly<Record<string, readonly unknown[]>> = {
    input_type: ["query", "document", null],
    output_dtype: ["float"],
    encoding_format: [null],
    truncation: [true, false],
  };
  for (const [name, values] of Object.entries(allowed)) {
    const value = body[name];
    if (value === undefined || values.includes(value)) continue;
    throw new Refusal(
      400,
      `Value '${JSON.stringify(value)}' provided for argument '${name}' is not valid. Acceptable values are ${JSON.stringify(values)}.`,
    );
  }
}

function readTexts({ input }: Readonly<Record<string, unknown>>): readonly string[] {
  const texts: unknown = typeof input === "string" ? [input] : input;
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== "string"))
    throw new Refusal(400, "Argument 'input' must be a string or a list of strings.");
  if (texts.length === 0 || texts.includes(""))
    throw new Refusal(400, "Input cannot contain empty strings or empty lists");
  if (texts.length > LARGEST_BATCH)
    throw new Refusal(400, `The batch size limit is ${LARGEST_BATCH}. Your batch size is ${texts.length}.`);
  return texts as readonly string[];
}

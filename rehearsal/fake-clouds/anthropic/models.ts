import { AnthropicError } from "./errors.ts";

interface Model {
  readonly name: string;
  readonly created: string;
  /** Tokens of its longest answer. */
  readonly mostTokens: number;
}

/** Models that the account may use, the newest first. Retired ones are unknown to the API, and to this list. */
export const MODELS: Readonly<Record<string, Model>> = {
  "claude-opus-4-5-20251101": {
    name: "Claude Opus 4.5",
    created: "2025-11-24T00:00:00Z",
    mostTokens: 64_000,
  },
  "claude-haiku-4-5-20251001": {
    name: "Claude Haiku 4.5",
    created: "2025-10-15T00:00:00Z",
    mostTokens: 64_000,
  },
  "claude-sonnet-4-5-20250929": {
    name: "Claude Sonnet 4.5",
    created: "2025-09-29T00:00:00Z",
    mostTokens: 64_000,
  },
};

const USUAL_PAGE = 20;
const LARGEST_PAGE = 1000;

function render(id: string, { name, created }: Model): { readonly id: string } {
  return { ...{ type: "model", id, display_name: name, created_at: created } };
}

/** One page of the models. */
export function listModels(query: URLSearchParams): unknown {
  const limit = Number(query.get("limit") ?? USUAL_PAGE);
  if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_PAGE)
    throw new AnthropicError(
      "invalid_request_error",
      `limit: Input should be from 1 to ${LARGEST_PAGE}, got ${query.get("limit") ?? ""}`,
    );
  const all = Object.entries(MODELS).map(([id, model]) => render(id, model));
  const after = all.findIndex(({ id }) => id === query.get("after_id"));
  const before = all.findIndex(({ id }) => id === query.get("before_id"));
  const rest = before < 0 ? all.slice(after + 1) : all.slice(Math.max(0, before - limit), before);
  const data = rest.slice(0, limit);
  return {
    data,
    has_more: rest.length > data.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

export function findModel(id: string): unknown {
  const model = MODELS[id];
  if (model === undefined) throw new AnthropicError("not_found_error", `model: ${id}`);
  return render(id, model);
}

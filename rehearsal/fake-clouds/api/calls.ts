/** Server that received a call. */
export type Api = "ovh" | "cloudflare" | "webhooks" | "voyage" | "anthropic" | "google" | "management";

/** One request that a fake API received. */
export interface Call {
  readonly time: string;
  readonly api: Api;
  readonly method: string;
  /** Raw path below the API's base, without the query. */
  readonly path: string;
  readonly query: string;
  /** Status answered; 0 when the connection was cut. */
  readonly status: number;
  /** Request body, without secrets. */
  readonly body: unknown;
  /** Which injected fault it met, if any. */
  readonly fault?: string;
}

const SECRET_KEYS = /^(token|password|rescuePassword|consumerKey|applicationSecret|clientSecret)$/i;
/** Calls that are kept of each API: a busy one takes nothing from the others. */
const KEPT = 10_000;
/** Letters that are kept of a text: an uploaded document would fill the memory. */
const KEPT_LETTERS = 20_000;

/** Every request to the fake APIs, oldest first. */
export class CallLog {
  #calls: Call[] = [];
  readonly #counts = new Map<Api, number>();

  add(call: Call): void {
    this.#calls.push({ ...call, body: withoutSecrets(call.body) });
    const kept = (this.#counts.get(call.api) ?? 0) + 1;
    this.#counts.set(call.api, Math.min(kept, KEPT));
    if (kept > KEPT)
      this.#calls.splice(
        this.#calls.findIndex(({ api }) => api === call.api),
        1,
      );
  }

  list(api?: Api): readonly Call[] {
    return api ? this.#calls.filter((call) => call.api === api) : [...this.#calls];
  }

  /** "METHOD path" of each call: what most assertions are about. */
  lines(api?: Api): readonly string[] {
    return this.list(api).map((call) => `${call.method} ${call.path}`);
  }

  clear(): void {
    this.#calls = [];
    this.#counts.clear();
  }
}

function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value === "string" && value.length > KEPT_LETTERS)
    return `${value.slice(0, KEPT_LETTERS)}… (${value.length} letters)`;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      SECRET_KEYS.test(key) ? "[redacted]" : withoutSecrets(inner),
    ]),
  );
}

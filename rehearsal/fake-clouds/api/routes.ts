/** What a request handler receives besides the parameters of its path. */
export interface ApiRequest {
  readonly method: string;
  /** Path below the API's base, still escaped: `%2F` inside a segment is not a separator. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** URL exactly as the client wrote it; clients sign this. */
  readonly url: string;
  readonly rawBody: string;
  /** Address that the client comes from. */
  readonly from: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body?: unknown;
  /** Pieces of text that are sent one after the other in place of a body. @default none */
  readonly stream?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

export type Params = Readonly<Record<string, string>>;
export type Handler = (request: ApiRequest, params: Params) => unknown;

/** Keys are `METHOD /path/{parameter}`. */
export type Routes = Readonly<Record<string, Handler>>;

export type Match =
  | { readonly kind: "found"; readonly handler: Handler; readonly params: Params; readonly route: string }
  | { readonly kind: "wrongMethod" }
  | { readonly kind: "unknown" };

interface Compiled {
  readonly route: string;
  readonly method: string;
  readonly segments: readonly string[];
  readonly handler: Handler;
}

/** Finds the handler of a raw path; a literal segment wins over a parameter. */
export class Router {
  readonly #routes: readonly Compiled[];

  constructor(routes: Routes) {
    this.#routes = Object.entries(routes)
      .map(([route, handler]) => {
        const [method = "", path = ""] = route.split(" ");
        return { route, method, segments: path.split("/"), handler };
      })
      .sort((a, b) => parameters(a) - parameters(b));
  }

  find(method: string, path: string): Match {
    const segments = path.split("/");
    let pathIsKnown = false;
    for (const compiled of this.#routes) {
      const params = match(compiled.segments, segments);
      if (!params) continue;
      if (compiled.method === method) {
        return { kind: "found", handler: compiled.handler, params, route: compiled.route };
      }
      pathIsKnown = true;
    }
    return { kind: pathIsKnown ? "wrongMethod" : "unknown" };
  }
}

function parameters(compiled: Compiled): number {
  return compiled.segments.filter((segment) => segment.startsWith("{")).length;
}

function match(pattern: readonly string[], segments: readonly string[]): Params | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? "";
    if (!expected.startsWith("{")) {
      if (segment !== expected) return undefined;
      continue;
    }
    if (segment === "") return undefined;
    try {
      params[expected.slice(1, -1)] = decodeURIComponent(segment);
    } catch {
      return undefined;
    }
  }
  return params;
}

/** What the checks reach besides the server and the engine. */
import { Resolver } from "node:dns/promises";

export interface World {
  readonly fetch: typeof fetch;
  readonly resolver: Pick<Resolver, "resolve4" | "resolve6">;
  readonly now: () => number;

  /** Environment variables, where a CI says what it runs. */
  readonly variables: Readonly<Record<string, string | undefined>>;

  /** Ports of the public address. */
  readonly ports: { readonly http: number; readonly https: number };

  /** Authorities (PEM) that public certificates may come from; undefined: those of this machine and of NODE_EXTRA_CA_CERTS. */
  readonly authorities: string | undefined;

  /** Addresses on the server's own loopback. */
  readonly loopback: { readonly n8n: string; readonly qdrant: string };
}

export function realWorld(): World {
  return {
    fetch,
    resolver: new Resolver({ timeout: 5000, tries: 2 }),
    now: Date.now,
    variables: process.env,
    ports: { http: 80, https: 443 },
    authorities: undefined,
    loopback: { n8n: "http://127.0.0.1:5678", qdrant: "http://127.0.0.1:6333" },
  };
}

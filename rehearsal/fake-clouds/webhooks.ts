import { CallLog } from "./api/calls.ts";
import { Faults } from "./api/faults.ts";
import { serveApi, type ServedApi } from "./api/server.ts";
import { systemClock } from "./clock.ts";

export interface WebhooksOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
  /** Certificate and key in PEM. @default without TLS */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** APIs that have the same port, by their host names. @default none */
  readonly byHost?: Readonly<Record<string, ServedApi>>;
  /** Shared with the other fake APIs. */
  readonly calls?: CallLog;
  readonly faults?: Faults;
}

export interface Webhooks {
  /** Address without a slash at the end. */
  readonly url: string;
  readonly calls: CallLog;
  readonly faults: Faults;
  close(): Promise<void>;
}

/**
 * Slack, pagers and whatever else takes webhooks: answers every call as Slack does and keeps it in the call log, by its path. Faults are injected
 * there as well: 429 with `retry-after`, 500, an answer held back.
 */
export async function startWebhooks(options: WebhooksOptions = {}): Promise<Webhooks> {
  const { host = "127.0.0.1", port = 0, tls, byHost } = options;
  const { calls = new CallLog(), faults = new Faults() } = options;
  const server = await serveApi({
    ...{ api: "webhooks", host, port, basePaths: [""], calls, faults, clock: systemClock },
    ...(tls && { tls }),
    ...(byHost && { byHost }),
    headers: () => ({}),
    answer: () => Promise.resolve({ status: 200, headers: { "content-type": "text/plain" }, body: "ok" }),
  });
  return { url: server.origin, calls, faults, close: () => server.close() };
}

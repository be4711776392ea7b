import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { CallLog } from "./api/calls.ts";
import { Faults } from "./api/faults.ts";
import type { ApiAnswer } from "./api/routes.ts";
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

/** As Slack answers. */
const OK: ApiAnswer = { status: 200, headers: { "content-type": "text/plain" }, body: "ok" };

/** Path of PagerDuty's Events API v2. */
const EVENTS = "/v2/enqueue";

const event = z.object({
  routing_key: z.string().regex(/^[0-9A-Za-z]{32}$/),
  event_action: z.enum(["trigger", "acknowledge", "resolve"]),
  dedup_key: z.string().max(255).optional(),
  payload: z.object({
    summary: z.string().min(1).max(1024),
    source: z.string().min(1),
    severity: z.enum(["critical", "error", "warning", "info"]),
  }),
});

/** PagerDuty refuses an event that lacks something. */
function takeEvent(body: unknown): ApiAnswer {
  const { success, data, error } = event.safeParse(body);
  if (success)
    return {
      status: 202,
      body: { status: "success", message: "Event processed", dedup_key: data.dedup_key ?? "" },
    };
  const errors = error.issues.map(({ path, message }) => `'${path.join(".")}' ${message}`);
  return { status: 400, body: { status: "invalid event", message: "Event object is invalid", errors } };
}

/**
 * Slack, PagerDuty and whatever else takes webhooks: answers every call as its vendor does and keeps it in the call log, by its path. Faults are injected
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
    answer: (request) =>
      Promise.resolve(request.path === EVENTS ? takeEvent(parseJson(request.rawBody)) : OK),
  });
  return { url: server.origin, calls, faults, close: () => server.close() };
}

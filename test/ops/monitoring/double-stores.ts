/** A double of the monitoring's programs: one HTTP server on the loopback, with a folder for each of them. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { storeNames, type Addresses, type StoreName } from "../../../ops/monitoring/stores.ts";

export interface Received {
  readonly store: StoreName;
  readonly method: string;

  /** With its query. */
  readonly path: string;

  /** Fields of a form. */
  readonly form: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

/** Gives the answer to a call; undefined: 404. */
export type Answering = (call: Received) => Answer | undefined;

export interface DoubleStores extends AsyncDisposable {
  readonly addresses: Addresses;
  readonly received: Received[];

  /** Stores that do not answer. */
  readonly down: Set<StoreName>;

  /** `alerts /api/v2/alerts`, without a query → what is answered. */
  readonly answers: Map<string, Answering>;

  /** Answers JSON to every call of that kind. */
  readonly give: (what: string, body: unknown) => void;
}

/** Alertmanager keeps silences and has no alert; both evaluators have one rule; the stores are empty. */
export async function startStores(): Promise<DoubleStores> {
  const [received, down, answers] = [[] as Received[], new Set<StoreName>(), new Map<string, Answering>()];
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const [, name = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(request.url ?? "") ?? [];
      const store = name as StoreName;
      if (down.has(store)) return void request.socket.destroy();
      const form = Object.fromEntries(new URLSearchParams(body));
      const call = { store, method: request.method ?? "", path, form, body };
      received.push(call);
      const found = keysOf(call).flatMap((key) => answers.get(key)?.(call) ?? [])[0];
      const { status = 200, body: text } = found ?? { status: 404, body: "no such path" };
      response.writeHead(status).end(typeof text === "string" ? text : JSON.stringify(text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const doubled: DoubleStores = {
    addresses: Object.fromEntries(
      storeNames.map((name) => [name, `http://127.0.0.1:${port}/${name}`]),
    ) as Record<StoreName, string>,
    ...{ received, down, answers },
    give: (what, body) => void answers.set(what, () => ({ body })),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  begin(doubled);
  return doubled;
}

/** The path alone, and what it begins with: a silence's id ends one. */
function keysOf({ store, path }: Received): string[] {
  const plain = path.replace(/\?.*$/, "");
  return [`${store} ${plain}`, `${store} ${plain.replace(/[^/]*$/, "")}`];
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

interface KeptSilence {
  readonly id: string;
  readonly status: { state: string };
  readonly comment: string;
}

function begin(stores: DoubleStores): void {
  const { answers, give } = stores;
  const kept: KeptSilence[] = [];
  answers.set("alerts /api/v2/silences", ({ method, body }) => {
    if (method === "GET") return { body: kept };
    const id = `${String(kept.length + 1).padStart(8, "0")}-aaaa-bbbb`;
    kept.push({ id, status: { state: "active" }, ...(JSON.parse(body) as { comment: string }) });
    return { body: { silenceID: id } };
  });
  answers.set("alerts /api/v2/silence/", ({ path }) => {
    const silence = kept.find(({ id }) => path.endsWith(id));
    if (silence) silence.status.state = "expired";
    return silence && { body: "" };
  });
  give("alerts /api/v2/alerts", []);
  give("alerts /api/v2/status", { config: { original: "route:\n  receiver: nobody\n" } });
  give("alerts /api/v2/receivers", [{ name: "nobody" }, { name: "team" }]);
  give("metric-rules /api/v1/rules", rulesOf([rule("ServiceDown"), rule("Watchdog", { severity: "info" })]));
  give("log-rules /api/v1/rules", rulesOf([rule("ErrorRateCritical")]));
  give("metrics /api/v1/query", { data: { result: [] } });
  give("metrics /api/v1/query_range", { data: { result: [] } });
  give("logs /select/logsql/query", "");
}

export const EVALUATED = "2026-11-24T09:59:50Z";

/** A rule as vmalert lists it. */
export function rule(name: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  const { severity = "P1", labels = {}, ...rest } = changes;
  return {
    ...{ name, type: "alerting", state: "inactive", health: "ok", lastError: "", duration: 0 },
    ...{ lastEvaluation: EVALUATED, query: "up == 0", alerts: [] },
    labels: { severity, id: name, ...(labels as object) },
    annotations: { runbook: `docs/alerts.md#${name.toLowerCase()}` },
    ...rest,
  };
}

export function rulesOf(rules: readonly Record<string, unknown>[]): unknown {
  return { status: "success", data: { groups: [{ name: "alerts", rules }] } };
}

/** An alert as Alertmanager gives it. */
export function alert(
  labels: Readonly<Record<string, string>>,
  changes: {
    readonly annotations?: Readonly<Record<string, string>>;
    readonly receivers?: readonly string[];
    readonly silencedBy?: readonly string[];
    readonly inhibitedBy?: readonly string[];
    readonly startsAt?: string;
  } = {},
): unknown {
  const { silencedBy = [], inhibitedBy = [], receivers = ["team"] } = changes;
  return {
    labels: { stack: "test", ...labels },
    annotations: changes.annotations ?? {},
    startsAt: changes.startsAt ?? "2026-11-24T09:57:00Z",
    receivers: receivers.map((name) => ({ name })),
    status: {
      state: silencedBy.length + inhibitedBy.length > 0 ? "suppressed" : "active",
      ...{ silencedBy, inhibitedBy },
    },
  };
}

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import type { Api, CallLog } from "./calls.ts";
import type { Clock } from "../clock.ts";
import { describeFault, type Fault, type Faults } from "./faults.ts";
import type { ApiAnswer, ApiRequest } from "./routes.ts";

/** One API: what it answers, wherever it listens. */
export interface ServedApi {
  readonly api: Api;
  /** Prefixes that are the API's root, for example `/1.0` and `/v1`. */
  readonly basePaths: readonly string[];
  /** Answers every request below a base path; must not throw. */
  readonly answer: (request: ApiRequest) => Promise<ApiAnswer>;
  /** Headers that every answer carries, injected faults included. */
  readonly headers: () => Readonly<Record<string, string>>;
}

export interface ApiServerOptions extends ServedApi {
  readonly host: string;
  readonly port: number;
  /** Certificate and key in PEM. @default without TLS */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** APIs that answer in its place where a request names their host. @default none */
  readonly byHost?: Readonly<Record<string, ServedApi>>;
  readonly calls: CallLog;
  readonly faults: Faults;
  readonly clock: Clock;
}

export interface ApiServer {
  /** `http://host:port`, or `https://…`, without a slash at the end. */
  readonly origin: string;
  close(): Promise<void>;
}

/** For how long a caller may keep a connection and ask nothing. On a busy machine it asks again on one that Node.js closes after 5 s. */
const IDLE_MILLISECONDS = 60_000;

/** Serves an API, or several by their host names, with a call log and injected faults. */
export async function serveApi(options: ApiServerOptions): Promise<ApiServer> {
  const closing = new AbortController();
  const listen = (incoming: IncomingMessage, response: ServerResponse): void => {
    receive(options, incoming, response, closing.signal).catch((error: unknown) => {
      if (!closing.signal.aborted && !incoming.destroyed) throw error;
    });
  };
  const server = options.tls === undefined ? createServer(listen) : createTlsServer(options.tls, listen);
  server.keepAliveTimeout = IDLE_MILLISECONDS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    origin: `${options.tls === undefined ? "http" : "https"}://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        closing.abort();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function receive(
  options: ApiServerOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<void> {
  const [asked = ""] = (incoming.headers.host ?? "").split(":");
  const served = options.byHost?.[asked] ?? options;
  const rawBody = await readText(incoming);
  const request = readRequest(incoming, rawBody, served.basePaths);
  const search = request.query.size > 0 ? `?${request.query.toString()}` : "";
  const fault = options.faults.meet(served.api, request.method, request.path + search);

  if (fault?.delayMs) await delay(fault.delayMs, undefined, { signal: closing });
  const replaced = fault?.status !== undefined && !fault.perform;
  const answer =
    fault?.cut === "before" || replaced ? { status: fault.status ?? 0 } : await served.answer(request);
  const sent = fault?.status === undefined ? answer : injected(fault, fault.status);

  options.calls.add({
    time: new Date(options.clock.now()).toISOString(),
    api: served.api,
    method: request.method,
    path: request.path,
    query: request.query.toString(),
    status: fault?.cut ? 0 : sent.status,
    body: parsed(rawBody),
    ...(fault && { fault: describeFault(fault) }),
  });
  if (fault?.cut === "before" || fault?.cut === "after") {
    incoming.socket.destroy();
    return;
  }
  send(response, sent, served.headers());
  const pieces = fault?.cut === "within" ? half(sent) : piecesOf(sent);
  for (const piece of pieces.filter((one) => one !== "")) response.write(piece);
  if (fault?.cut === "within") {
    // What was written leaves before the connection ends.
    response.write("", () => incoming.socket.destroy());
    return;
  }
  response.end();
}

function readRequest(incoming: IncomingMessage, rawBody: string, basePaths: readonly string[]): ApiRequest {
  const target = incoming.url ?? "/";
  const [rawPath = "/", search = ""] = target.split(/\?(.*)/s);
  const base = basePaths.find((prefix) => rawPath === prefix || rawPath.startsWith(`${prefix}/`));
  return {
    method: incoming.method ?? "GET",
    path: base === undefined ? `//${rawPath}` : rawPath.slice(base.length),
    query: new URLSearchParams(search),
    headers: Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value[0] : value,
      ]),
    ),
    url: `http://${incoming.headers.host ?? ""}${target}`,
    rawBody,
    from: incoming.socket.remoteAddress ?? "",
  };
}

function injected(fault: Fault, status: number): ApiAnswer {
  return { status, body: fault.body, ...(fault.headers && { headers: fault.headers }) };
}

function send(response: ServerResponse, answer: ApiAnswer, headers: Readonly<Record<string, string>>): void {
  const text = asText(answer);
  response.writeHead(answer.status, {
    ...(text !== "" && { "content-type": "application/json; charset=utf-8" }),
    ...(answer.stream === undefined && { "content-length": Buffer.byteLength(text) }),
    ...headers,
    ...answer.headers,
  });
}

function piecesOf(answer: ApiAnswer): readonly string[] {
  return answer.stream ?? [asText(answer)];
}

function half(answer: ApiAnswer): readonly string[] {
  if (answer.stream !== undefined) return answer.stream.slice(0, Math.ceil(answer.stream.length / 2));
  const text = asText(answer);
  return [text.slice(0, Math.ceil(text.length / 2))];
}

// Not every answer is JSON; a fault's may be a proxy's error page.
function asText({ body, headers }: ApiAnswer): string {
  if (body === undefined) return "";
  const isPlain =
    typeof body === "string" &&
    (body.startsWith("<") || headers?.["content-type"]?.startsWith("text/") === true);
  return isPlain ? body : JSON.stringify(body);
}

function parsed(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return "[not JSON]";
  }
}

async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** A request to the stack's public address, as any client on the internet sends it. */
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";

/** The stack's public address. */
export interface PublicSite {
  readonly domain: string;
  readonly ports: { readonly http: number; readonly https: number };
  /** Authorities (PEM) of its certificate; undefined: those that this machine trusts. */
  readonly authorities: string | undefined;
}

export interface PublicRequest {
  readonly path: string;
  /** @default "https" */
  readonly protocol?: "http" | "https";
  /** @default the site's domain */
  readonly host?: string;
  /** @default "GET" */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Size of the body, which is all zeros. */
  readonly bodyBytes?: number;
  /** Whether the body is only announced: the request ends as soon as the server accepts or refuses it. */
  readonly announceOnly?: boolean;
  readonly signal: AbortSignal;
}

export interface PublicAnswer {
  /** 100 when the server accepts a body that was only announced. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Its first 64 KiB. */
  readonly text: string;
}

const KEPT_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;

export function askPublic(site: PublicSite, request: PublicRequest): Promise<PublicAnswer> {
  const { path, protocol = "https", host = site.domain, method = "GET", signal } = request;
  const { bodyBytes = 0, announceOnly = false } = request;
  return new Promise((resolve, reject) => {
    const sent = (protocol === "https" ? https : http).request({
      host,
      port: site.ports[protocol],
      path,
      method,
      agent: false,
      signal,
      ...(protocol === "https" && site.authorities !== undefined ? { ca: site.authorities } : {}),
      headers: {
        host,
        "user-agent": "Mozilla/5.0 (technicia-checks)",
        ...(bodyBytes > 0
          ? { "content-length": String(bodyBytes), "content-type": "application/octet-stream" }
          : {}),
        ...(announceOnly ? { expect: "100-continue" } : {}),
        ...request.headers,
      },
    });
    let isAnswered = false;
    sent.on("continue", () => {
      resolve({ status: 100, headers: {}, text: "" });
      sent.destroy();
    });
    sent.on("response", (response) => {
      isAnswered = true;
      read(response).then((text) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        sent.destroy();
      }, reject);
    });
    // A server that has answered may close the connection before it has read the whole body.
    sent.on("error", (error) => {
      if (!isAnswered) reject(error);
    });
    if (announceOnly) sent.flushHeaders();
    else if (bodyBytes > 0) Readable.from(zeros(bodyBytes)).pipe(sent);
    else sent.end();
  });
}

async function read(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (size < KEPT_BYTES) chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks).subarray(0, KEPT_BYTES).toString("utf8");
}

function* zeros(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES)
    yield left < CHUNK_BYTES ? chunk.subarray(0, left) : chunk;
}

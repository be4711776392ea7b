/** A request to the stack's public address, as any client on the internet would send it. */
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";

import type { World } from "../world.ts";

export interface PublicRequest {
  readonly secure: boolean;
  readonly host: string;
  readonly path: string;
  /** @default "GET" */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Number of zero bytes that are sent as body. */
  readonly bodyBytes?: number;
  /** Whether the body is only announced: a server that would take it says so, and the request ends there. */
  readonly announceOnly?: boolean;
  readonly signal: AbortSignal;
}

export interface PublicAnswer {
  /** 100 when a body that was only announced would have been taken. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Its first 64 KiB. */
  readonly text: string;
}

const KEPT_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;

export function askPublic(
  world: Pick<World, "ports" | "authorities">,
  request: PublicRequest,
): Promise<PublicAnswer> {
  const { secure, host, path, method = "GET", bodyBytes = 0, announceOnly = false, signal } = request;
  return new Promise((resolve, reject) => {
    const sent = (secure ? https : http).request({
      host,
      port: secure ? world.ports.https : world.ports.http,
      path,
      method,
      agent: false,
      signal,
      ...(secure && world.authorities !== undefined ? { ca: world.authorities } : {}),
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
    // A server that has answered may hang up on what is still being sent.
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

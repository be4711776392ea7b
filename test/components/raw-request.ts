/** Sends a request as it is written, because HTTP clients put paths in order before they send them. */
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:tls";

export interface RawAnswer {
  /** 0 when the connection ends without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

const LONGEST_MS = 10_000;

interface RawRequest {
  /** Address of the gateway. */
  readonly address: string;
  /** Name under which it is asked. */
  readonly name: string;
  /** Everything before the headers, without the line's end. */
  readonly line: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}

const UPGRADE = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGVjaG5pY2lhLXRlc3RzMQ==",
] as const;

/** Fails when there is no answer within 10 s. */
export function askRaw({ address, name, line, headers = [], body = "" }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 443, servername: name, rejectUnauthorized: false });
    let text = "";
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`${line}: expected an answer within ${LONGEST_MS} ms, got ${JSON.stringify(text)}`));
    }, LONGEST_MS);
    const end = () => {
      clearTimeout(limit);
      socket.destroy();
      resolve(read(text));
    };
    socket.on("secureConnect", () => socket.write(`${[line, ...headers, "", ""].join("\r\n")}${body}`));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (isWhole(text)) end();
    });
    socket.on("end", end);
    socket.on("error", end);
  });
}

/** A GET of a path as it is written. */
export function getRaw(
  to: { readonly address: string; readonly name: string },
  { path, upgrade = false }: { readonly path: string; readonly upgrade?: boolean },
): Promise<RawAnswer> {
  const headers = [`Host: ${to.name}`, "User-Agent: Mozilla/5.0", ...(upgrade ? UPGRADE : [])];
  return askRaw({ ...to, line: `GET ${path} HTTP/1.1`, headers });
}

/** GETs of paths as they are written, all over one connection of HTTP/2. */
export async function getOverHttp2(
  to: { readonly address: string; readonly name: string },
  paths: readonly string[],
): Promise<{ readonly status: number; readonly body: string }[]> {
  const session = connectHttp2(`https://${to.address}`, { servername: to.name, rejectUnauthorized: false });
  try {
    return await Promise.all(
      paths.map(
        (path) =>
          new Promise<{ status: number; body: string }>((resolve, reject) => {
            const stream = session.request({
              ":path": path,
              ":authority": to.name,
              "user-agent": "Mozilla/5.0",
            });
            let status = 0;
            let body = "";
            stream.on("response", (headers) => (status = headers[":status"] ?? 0));
            stream.setEncoding("utf8").on("data", (piece: string) => (body += piece));
            stream.on("end", () => resolve({ status, body }));
            stream.on("error", reject);
          }),
      ),
    );
  } finally {
    session.close();
  }
}

function read(text: string): RawAnswer {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0), head, body: rest.join("\r\n\r\n") };
}

function isWhole(text: string): boolean {
  if (!text.includes("\r\n\r\n")) return false;
  const { status, head, body } = read(text);
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (status === 101 || status === 204 || status === 304) return true;
  return length === undefined ? body.endsWith("0\r\n\r\n") : body.length >= Number(length);
}

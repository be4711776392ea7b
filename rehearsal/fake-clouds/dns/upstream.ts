import { createSocket } from "node:dgram";
import { createConnection, isIPv6 } from "node:net";

export interface Upstream {
  readonly address: string;
  /** @default 53 */
  readonly port?: number;
}

const LIMIT_MS = 5000;

/** Asks another resolver with the packet as it came, and gives its answer as it came. */
export function ask(upstream: Upstream, query: Buffer, transport: "udp" | "tcp"): Promise<Buffer> {
  return transport === "udp" ? askUdp(upstream, query) : askTcp(upstream, query);
}

function askUdp({ address, port = 53 }: Upstream, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const done = (act: () => void): void => {
      clearTimeout(limit);
      socket.close();
      act();
    };
    const limit = setTimeout(() => done(() => reject(tooLate(address))), LIMIT_MS);
    socket.on("error", (error) => done(() => reject(error)));
    socket.on("message", (message) => {
      const isAnswer = message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0);
      if (isAnswer) done(() => resolve(message));
    });
    socket.send(query, port, address);
  });
}

function askTcp({ address, port = 53 }: Upstream, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: address, port });
    let received = Buffer.alloc(0);
    socket.setTimeout(LIMIT_MS, () => socket.destroy(tooLate(address)));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`${address}: closed the connection without an answer`)));
    socket.on("connect", () => socket.write(withLength(query)));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
      socket.destroy();
    });
  });
}

/** A message as DNS over TCP carries it. */
export function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function tooLate(address: string): Error {
  return new Error(`${address}: expected an answer within ${LIMIT_MS / 1000} s, got none`);
}

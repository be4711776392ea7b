import { createSocket } from "node:dgram";
import { createConnection } from "node:net";

import * as packet from "dns-packet";

import { withLength } from "../../../../rehearsal/fake-clouds/dns/upstream.ts";

export type Transport = "udp" | "tcp";

/** Sends bytes to a name server on this machine and gives the bytes that came back. */
export function exchange(port: number, message: Buffer, transport: Transport): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (transport === "udp") {
      const socket = createSocket("udp4");
      socket.on("error", reject);
      socket.on("message", (answer) => {
        socket.close();
        resolve(answer);
      });
      socket.send(message, port, "127.0.0.1");
      return;
    }
    const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write(withLength(message)));
    let received = Buffer.alloc(0);
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.destroy();
      resolve(received.subarray(2));
    });
  });
}

export interface Asked {
  readonly transport?: Transport;
  /** Size that EDNS offers. @default no EDNS */
  readonly udpPayloadSize?: number;
}

/** A decoded answer; the package's types leave its code out. */
export type DnsAnswer = packet.DecodedPacket & { readonly rcode: string };

export async function ask(port: number, name: string, type: string, asked: Asked = {}): Promise<DnsAnswer> {
  const { transport = "udp", udpPayloadSize } = asked;
  const message = packet.encode({
    type: "query",
    id: 4711,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type: type as packet.RecordType }],
    additionals:
      udpPayloadSize === undefined
        ? []
        : [
            {
              type: "OPT",
              name: ".",
              udpPayloadSize,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
  });
  return packet.decode(await exchange(port, message, transport)) as DnsAnswer;
}

/** "name type data" of each answer: what most assertions are about. */
export function lines(records: readonly packet.Answer[] | undefined): readonly string[] {
  return (records ?? []).map((record) => {
    const { data } = record as { data: unknown };
    return `${record.name} ${record.type} ${typeof data === "string" ? data : JSON.stringify(data)}`;
  });
}

/** Stands between a client and an HTTP server, and answers or disturbs as a test says. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** What becomes of a request. */
export type Fault =
  | "pass"
  /** The connection ends without an answer. */
  | "drop"
  /** An answer of the proxy's own, in the form of S3. */
  | { readonly status: number; readonly code: string; readonly message?: string }
  /** Passes after so many milliseconds. */
  | { readonly late: number };

export interface FaultProxy {
  readonly port: number;
  /** Requests that have come since the last call of `become`. */
  readonly seen: () => number;
  readonly become: (decide: (method: string, path: string, count: number) => Fault) => void;
  readonly stop: () => Promise<void>;
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  let decide: (method: string, path: string, count: number) => Fault = () => "pass";
  let count = 0;
  const server = createServer((incoming, outgoing) => {
    count += 1;
    const { method = "GET", url = "/", headers } = incoming;
    const fault = decide(method, url, count);
    if (fault === "drop") {
      incoming.socket.destroy();
      return;
    }
    if (typeof fault === "object" && "status" in fault) {
      incoming.resume();
      outgoing.writeHead(fault.status, { "content-type": "application/xml" });
      const { code, message = "made by a test" } = fault;
      outgoing.end(
        method === "HEAD" ? "" : `<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
      );
      return;
    }
    // The name of the host is part of the signature: it goes on as it came.
    const pass = () => {
      const further = request({ hostname, port, method, path: url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      further.on("error", () => outgoing.destroy());
      incoming.pipe(further);
    };
    if (fault === "pass") pass();
    else void delay(fault.late).then(pass);
  });
  await new Promise<void>((listening) => server.listen(0, "0.0.0.0", listening));
  return {
    port: (server.address() as AddressInfo).port,
    seen: () => count,
    become: (other) => {
      count = 0;
      decide = other;
    },
    stop: () =>
      new Promise((stopped) => {
        server.closeAllConnections();
        server.close(() => stopped());
      }),
  };
}

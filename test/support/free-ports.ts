import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Ports of 127.0.0.1 that nobody listens on, over TCP, for a program that is given its port. Below those that the kernel hands out: one of them
 * may belong to another test's connection a moment later.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries > 100 * count) throw new Error(`expected ${count} free ports below 32768, got ${ports.size}`);
    const port = randomInt(15_000, 32_768);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server
      .once("error", () => resolve(false))
      .listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

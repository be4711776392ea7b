import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

const PROBE = fileURLToPath(new URL("../../components/probe.ts", import.meta.url));

/** Runs the probe against a server that answers as told; the address in its words is written URL. */
async function probe(answer: RequestListener, seconds: number) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz`;
  try {
    return await run(url, seconds);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function run(url: string, seconds: number) {
  const program = spawn(process.execPath, [PROBE, url, String(seconds)]);
  const [stdout, stderr, [code]] = await Promise.all([
    text(program.stdout),
    text(program.stderr),
    once(program, "exit") as Promise<[number]>,
  ]);
  return { code, stdout: stdout.replace(url, "URL"), stderr: stderr.replace(url, "URL") };
}

const LOGS = "; look at the services' logs on the server\n";

describe("probe", () => {
  it("prints how long it took once the address answers 200", async () => {
    const { code, stdout } = await probe((_request, response) => response.end(), 30);

    expect(code).toBe(0);
    expect(stdout).toMatch(/^URL answered 200 after \d+\.\d s\n$/);
  });

  it("asks again until the address answers 200", async () => {
    let asked = 0;
    const { code } = await probe((_request, response) => {
      asked += 1;
      response.statusCode = asked < 2 ? 503 : 200;
      response.end();
    }, 30);

    expect(code).toBe(0);
    expect(asked).toBe(2);
  });

  it("fails with the last answer on timeout", async () => {
    const { code, stderr } = await probe((_request, response) => {
      response.statusCode = 503;
      response.end('{"status":"unavailable"}');
    }, 0.1);

    expect(code).toBe(1);
    expect(stderr).toBe(`URL: expected 200 within 0.1 s, got status 503: {"status":"unavailable"}${LOGS}`);
  });

  it("fails on a redirect, because another address proves nothing", async () => {
    const { code, stderr } = await probe((_request, response) => {
      response.writeHead(302, { location: "/elsewhere" }).end();
    }, 0.1);

    expect(code).toBe(1);
    expect(stderr).toContain("unexpected redirect");
  });

  it("fails with the reason when nothing listens", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");

    const { code, stderr } = await run(`http://127.0.0.1:${port}/healthz`, 0.1);

    expect(code).toBe(1);
    expect(stderr).toBe(`URL: expected 200 within 0.1 s, got connect ECONNREFUSED 127.0.0.1:${port}${LOGS}`);
  });
});

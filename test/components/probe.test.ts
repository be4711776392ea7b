import { spawn } from "node:child_process";
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { close, issue, listen } from "../ops/checks/fixtures.ts";

const PROBE = fileURLToPath(new URL("../../components/probe.ts", import.meta.url));

interface Site {
  readonly answer?: RequestListener;

  /** Name in the certificate. @default "localhost" */
  readonly name?: string;

  /** Days until the certificate ends. @default 60 */
  readonly days?: number;
}

/** Runs the probe against a server of an authority that this machine does not trust; the address in its words is written URL. */
async function probe(
  { answer = (_request, response) => response.end(), name = "localhost", days = 60 }: Site,
  args: readonly string[],
) {
  const issued = await issue(name, days);
  const server = createServer({ cert: issued.certificate, key: issued.key }, answer);
  try {
    const url = `https://localhost:${new URL(await listen(server)).port}/healthz`;
    return await run(url, args);
  } finally {
    await close(server);
    await issued.remove();
  }
}

async function run(url: string, args: readonly string[]) {
  const program = spawn(process.execPath, [PROBE, url, ...args]);
  const [stdout, stderr, [code]] = await Promise.all([
    text(program.stdout),
    text(program.stderr),
    once(program, "exit") as Promise<[number]>,
  ]);
  return { code, stdout: stdout.replace(url, "URL"), stderr: stderr.replace(url, "URL") };
}

const UNTRUSTED = "untrusted-authority";
const LOGS = "; look at the services' logs on the server\n";

describe("probe", () => {
  it("prints how long it took once the address answers 200", async () => {
    const { code, stdout } = await probe({}, ["30", UNTRUSTED]);

    expect(stdout).toMatch(/^URL answered 200 after \d+\.\d s\n$/);
    expect(code).toBe(0);
  });

  it("asks again until the address answers 200", async () => {
    let asked = 0;
    const answer: RequestListener = (_request, response) => {
      asked += 1;
      response.statusCode = asked < 2 ? 503 : 200;
      response.end();
    };
    const { code } = await probe({ answer }, ["30", UNTRUSTED]);

    expect(code).toBe(0);
    expect(asked).toBe(2);
  });

  it("fails with the last answer on timeout", async () => {
    const answer: RequestListener = (_request, response) => {
      response.statusCode = 503;
      response.end('{"status":"unavailable"}');
    };
    const { code, stderr } = await probe({ answer }, ["0.1", UNTRUSTED]);

    expect(code).toBe(1);
    expect(stderr).toBe(`URL: expected 200 within 0.1 s, got status 503: {"status":"unavailable"}${LOGS}`);
  });

  it("fails on a redirect, because another address proves nothing", async () => {
    const answer: RequestListener = (_request, response) => {
      response.writeHead(302, { location: "/elsewhere" }).end();
    };
    const { code, stderr } = await probe({ answer }, ["0.1", UNTRUSTED]);

    expect(code).toBe(1);
    expect(stderr).toContain("got status 302");
  });

  it("fails when the authority is unknown, unless the environment says that it is for tests", async () => {
    const { code, stderr } = await probe({}, ["0.1"]);

    expect(code).toBe(1);
    expect(stderr).toMatch(
      /got (unable to verify the first certificate|self-signed certificate in certificate chain|unable to get local issuer certificate)/,
    );
  });

  it.each([
    ["another name", { name: "elsewhere.example" }, "Host: localhost. is not in the cert's altnames"],
    ["an end in the past", { days: -1 }, "certificate expired"],
  ])("fails when the certificate of a test authority has %s", async (_, site, reason) => {
    const { code, stderr } = await probe(site, ["0.1", UNTRUSTED]);

    expect(code).toBe(1);
    expect(stderr).toContain(reason);
  });

  it("fails with the reason when nothing listens", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");

    const { code, stderr } = await run(`https://127.0.0.1:${port}/healthz`, ["0.1", UNTRUSTED]);

    expect(code).toBe(1);
    expect(stderr).toBe(`URL: expected 200 within 0.1 s, got connect ECONNREFUSED 127.0.0.1:${port}${LOGS}`);
  });
});

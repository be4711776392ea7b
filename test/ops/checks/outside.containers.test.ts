import { createServer as createTcpServer, type AddressInfo } from "node:net";
import type { RequestListener } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import { networkInterfaces } from "node:os";

import { afterEach, describe, expect, it } from "vitest";

import { checkCertificate } from "../../../ops/checks/public/certificate.ts";
import {
  checkClosedPaths,
  checkFrontend,
  checkHeaders,
  checkHealthRoute,
} from "../../../ops/checks/public/gateway.ts";
import { checkLoad } from "../../../ops/checks/public/load.ts";
import { checkPorts } from "../../../ops/checks/public/ports.ts";
import { checkTlsVersions } from "../../../ops/checks/public/tls-versions.ts";
import type { World } from "../../../ops/checks/world.ts";
import { close, environmentWith, issue, type Issued, listen, never, worldWith } from "./support.ts";

const cleaning: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const clean of cleaning.splice(0)) await clean();
});

/** A site on this machine, with a certificate for a name. */
async function startSite(
  name: string,
  options: ServerOptions & { readonly days?: number; readonly answer?: RequestListener } = {},
): Promise<{ readonly world: World; readonly issued: Issued }> {
  const { days = 60, answer, ...tls } = options;
  const issued = await issue(name, days);
  const server = createServer({ cert: issued.certificate, key: issued.key, ...tls });
  server.on("request", answer ?? ((_request, response) => response.end("ici")));
  const port = Number(new URL(await listen(server)).port);
  cleaning.push(
    () => close(server),
    () => issued.remove(),
  );
  const world = worldWith({ ports: { http: 9, https: port }, authorities: issued.authority });
  return { world, issued };
}

describe("checkCertificate", () => {
  const look = (world: World, days = 14) =>
    checkCertificate(world, { domain: "localhost", days, signal: never });

  it("is ok with a trusted certificate of the name that lasts", async () => {
    const { world } = await startSite("localhost");

    expect(await look(world)).toEqual({
      outcome: "ok",
      detail: "émis par Essai, Essai racine, encore 59 jours",
      measures: { certificateDays: 59 },
    });
  });

  it("fails when it ends soon, or has ended", async () => {
    const { world } = await startSite("localhost", { days: 10 });

    expect(await look(world)).toMatchObject({
      outcome: "failed",
      detail:
        "plus que 9 jours, attendu 14 : le renouvellement ne se fait pas (émis par Essai, Essai racine, encore 9 jours)",
    });
    expect(await look({ ...world, now: () => Date.now() + 30 * 86_400_000 })).toMatchObject({
      outcome: "failed",
    });
  });

  it("fails for another name and for an authority that this machine does not trust, both at once", async () => {
    const { world } = await startSite("autre.example");
    const found = await look({ ...world, authorities: undefined });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toContain("chaîne refusée par cette machine (UNABLE_TO_VERIFY_LEAF_SIGNATURE)");
    expect(found.detail).toContain("noms : attendu localhost, trouvé DNS:autre.example");
  });

  it("throws when nobody answers", async () => {
    await expect(look(worldWith({ ports: { http: 9, https: 9 } }))).rejects.toThrow();
  });
});

describe("a site with a frontend", () => {
  const environment = { ...environmentWith(), domain: "localhost" };
  const site = (answer: RequestListener) => startSite("localhost", { answer });
  const page: RequestListener = (_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<html><title>TechnicIA</title></html>");
  };

  it("shows its page, and the page instead of what is closed", async () => {
    const { world } = await site(page);

    expect(await checkFrontend(world, environment, never)).toEqual({
      outcome: "ok",
      detail: "page « TechnicIA »",
    });
    expect(await checkClosedPaths(world, environment, never)).toMatchObject({
      outcome: "ok",
      measures: { open: 0 },
    });
    // A page that answers to everything is no health.
    expect(await checkHealthRoute(world, environment, never)).toMatchObject({ outcome: "failed" });
  });

  it("fails for n8n's page, and for none", async () => {
    const { world } = await site((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<html><title>n8n.io - Workflow Automation</title></html>");
    });
    expect(await checkClosedPaths(world, environment, never)).toMatchObject({ outcome: "failed" });

    const bare = await site((_request, response) => response.writeHead(404).end());
    expect(await checkFrontend(bare.world, environment, never)).toMatchObject({ outcome: "failed" });
  });

  it("insists on HTTPS once, and only once, its authority is trusted", async () => {
    const { world } = await site((_request, response) => {
      response.setHeader("x-content-type-options", "nosniff");
      response.setHeader("x-frame-options", "SAMEORIGIN");
      response.setHeader("referrer-policy", "strict-origin-when-cross-origin");
      response.setHeader("strict-transport-security", "max-age=31536000");
      response.end();
    });
    const untrusted = { ...environment, acme: { ...environment.acme, trusted: false } };

    expect(await checkHeaders(world, environment, never)).toMatchObject({ outcome: "ok" });
    expect(await checkHeaders(world, untrusted, never)).toMatchObject({
      outcome: "failed",
      detail: "strict-transport-security : présent alors que l'autorité n'est pas reconnue",
    });
  });
});

describe("checkTlsVersions", () => {
  it("is ok where only the two new versions are taken", async () => {
    const { world } = await startSite("localhost", { minVersion: "TLSv1.2" });

    expect(await checkTlsVersions(world, "localhost", never)).toEqual({
      outcome: "ok",
      detail: "TLSv1 refusée, TLSv1.1 refusée, TLSv1.2 acceptée, TLSv1.3 acceptée",
    });
  });

  it("fails where an old version is taken, or a new one is not", async () => {
    const old = await startSite("localhost", { minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" });
    expect(await checkTlsVersions(old.world, "localhost", never)).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("TLSv1 acceptée, TLSv1.1 acceptée") as string,
    });

    const stuck = await startSite("localhost", { maxVersion: "TLSv1.2" });
    expect(await checkTlsVersions(stuck.world, "localhost", never)).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("TLSv1.3 refusée") as string,
    });
  });

  it("throws when nobody answers", async () => {
    await expect(
      checkTlsVersions(worldWith({ ports: { http: 9, https: 9 } }), "localhost", never),
    ).rejects.toThrow();
  });
});

describe("checkPorts", () => {
  async function startListener(host: string): Promise<number> {
    const server = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    cleaning.push(() => new Promise((resolve) => server.close(resolve)));
    return (server.address() as AddressInfo).port;
  }
  const own6 = Object.values(networkInterfaces())
    .flat()
    .find((own) => own?.family === "IPv6" && !own.internal && !own.address.startsWith("fe80:"))?.address;

  it("is ok when the right ports are open, fails for each other state", async () => {
    const [wanted, extra] = [await startListener("127.0.0.1"), await startListener("127.0.0.1")];
    const look = (open: readonly number[], closed: readonly number[]) =>
      checkPorts({ address: "127.0.0.1", open, closed, signal: never });

    expect(await look([wanted], [9])).toMatchObject({
      outcome: "ok",
      measures: { portsTried: 2, portsOpen: 1 },
    });
    expect(await look([wanted], [9, extra])).toMatchObject({
      outcome: "failed",
      detail: `127.0.0.1 : ouverts de trop : ${extra}`,
    });
    expect(await look([wanted, 9], [])).toMatchObject({
      outcome: "failed",
      detail: "127.0.0.1 : fermés à tort : 9",
    });
  });

  it("tries the ports of ours and of Docker's unless told others", async () => {
    const wanted = await startListener("127.0.0.1");
    const found = await checkPorts({ address: "127.0.0.1", open: [wanted], signal: never });

    expect(found.measures?.["portsTried"]).toBeGreaterThan(30);
  });

  it.runIf(own6)("looks at IPv6 where this machine has it", async () => {
    const wanted = await startListener(own6!);

    expect(await checkPorts({ address: own6!, open: [wanted], closed: [9], signal: never })).toMatchObject({
      outcome: "ok",
    });
  });

  it("is not checked where no way leads", async () => {
    // Of the documentation's range, to which nobody has a route; a machine with a default route gets silence instead.
    const found = await checkPorts({ address: "2001:db8:ffff::1", open: [443], closed: [], signal: never });

    expect(found.outcome).not.toBe("ok");
    expect(found.detail).toMatch(/n'a pas d'IPv6|aucune route|fermés à tort/);
  });
});

describe("checkLoad", () => {
  const thresholds = (changes: Record<string, number>) => ({
    ...environmentWith({
      "operations.thresholds.loadSeconds": 1,
      "operations.thresholds.requestsPerSecond": 20,
      ...Object.fromEntries(
        Object.entries(changes).map(([name, value]) => [`operations.thresholds.${name}`, value]),
      ),
    }),
    domain: "localhost",
  });
  const look = (world: World, changes: Record<string, number> = {}) =>
    checkLoad(world, thresholds(changes), { path: "/", status: 200, signal: never });

  it("measures a site that keeps up, within the load it was given", async () => {
    const { world } = await startSite("localhost");
    const found = await look(world);

    expect(found.outcome).toBe("ok");
    expect(found.measures).toMatchObject({ errorRatio: 0 });
    expect(found.measures?.["requests"]).toBeLessThan(20 * 1.5 * 4);
    const { p50Ms = 0, p95Ms = 0, p99Ms = 0 } = found.measures ?? {};
    expect([p50Ms <= p95Ms, p95Ms <= p99Ms, p99Ms > 0]).toEqual([true, true, true]);
  });

  it("fails for a slow site, by each of its times", async () => {
    const { world } = await startSite("localhost", {
      answer: (_request, response) => void setTimeout(() => response.end("ici"), 60),
    });
    const found = await look(world, { p50Ms: 50, p95Ms: 50, p99Ms: 50 });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toMatch(/^p50 au-dessus de 50 ms ; p95 au-dessus de 50 ms ; p99 au-dessus de 50 ms/);
    expect(found.measures?.["p50Ms"]).toBeGreaterThanOrEqual(59);
  });

  it("fails for a site that answers too little, and counts wrong answers", async () => {
    let asked = 0;
    const { world } = await startSite("localhost", {
      answer: (_request, response) => {
        asked += 1;
        response.statusCode = asked % 4 === 0 ? 500 : 200;
        setTimeout(() => response.end("ici"), 100);
      },
    });
    const found = await look(world, { requestsPerSecond: 1000 });

    expect(found.detail).toContain("erreurs au-dessus de 1 %");
    expect(found.detail).toContain("débit sous 1000 requêtes/s");
    expect(found.measures?.["errorRatio"]).toBeCloseTo(0.25, 1);
  });

  it("fails, and ends, where nobody answers", async () => {
    const began = performance.now();

    expect(await look(worldWith({ ports: { http: 9, https: 9 } }))).toMatchObject({ outcome: "failed" });
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it("stops when it is told to", async () => {
    const { world } = await startSite("localhost");
    const stop = new AbortController();
    const running = checkLoad(world, thresholds({ loadSeconds: 600 }), {
      path: "/",
      status: 200,
      signal: stop.signal,
    });
    setTimeout(() => stop.abort(new Error("assez")), 100);

    await expect(running).rejects.toThrow("assez");
  });
});

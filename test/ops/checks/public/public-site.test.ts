import { connect, createServer as createTcpServer, type AddressInfo } from "node:net";
import type { RequestListener } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import { networkInterfaces } from "node:os";

import { afterEach, describe, expect, it } from "vitest";

import { LOOPBACK_PORTS } from "../../../../common/monitoring.ts";
import {
  checkClosedPaths,
  checkFrontend,
  checkHeaders,
  checkHealthRoute,
  openSite,
  type PublicSite,
} from "../../../../ops/checks/public/gateway.ts";
import { checkCertificate, checkTlsVersions } from "../../../../ops/checks/public/tls.ts";
import { checkLoad } from "../../../../ops/checks/public/load.ts";
import { checkPorts, CLOSED_PORTS } from "../../../../ops/checks/public/ports.ts";
import { close, issue, listen, unaborted } from "../fixtures.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { releaseLimits } from "../../../../stacks/release-limits.ts";

const cleaning: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const clean of cleaning.splice(0)) await clean();
});

type SiteOptions = ServerOptions & { readonly days?: number; readonly answer?: RequestListener };

/** A site on this machine, with a certificate for a name. */
async function startSite(name: string, options: SiteOptions = {}): Promise<PublicSite> {
  return (await startIssuedSite(name, options)).site;
}

/** The same, with its certificate (PEM). */
async function startIssuedSite(
  name: string,
  options: SiteOptions = {},
): Promise<{ readonly site: PublicSite; readonly certificate: string }> {
  const { days = 60, answer, ...tls } = options;
  const issued = await issue(name, days);
  const server = createServer({ cert: issued.certificate, key: issued.key, ...tls });
  server.on("request", answer ?? ((_request, response) => response.end("ici")));
  const port = Number(new URL(await listen(server)).port);
  cleaning.push(
    () => close(server),
    () => issued.remove(),
  );
  const site = { domain: "localhost", ports: { http: 9, https: port }, authorities: issued.authority };
  return { site, certificate: issued.certificate };
}

/** A port behind which the site is as far away as every byte then takes, there and back again. */
async function startDistance(port: number, milliseconds: number): Promise<number> {
  const relay = createTcpServer((near) => {
    const far = connect(port, "localhost");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => setTimeout(() => to.destroyed || to.write(bytes), milliseconds));
      from.on("close", () => to.destroy());
      from.on("error", () => undefined);
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, "localhost", resolve));
  cleaning.push(() => new Promise((resolve) => relay.close(resolve)));
  return (relay.address() as AddressInfo).port;
}

const SILENT: PublicSite = { domain: "localhost", ports: { http: 9, https: 9 }, authorities: undefined };

describe("openSite", () => {
  const open = async (site: PublicSite, { trusted, held }: { trusted: boolean; held: string }) => {
    const server = {
      name: "debian@192.0.2.1:22",
      run: () => Promise.resolve({ stdout: held, stderr: "" }),
      logInForDocker: () => Promise.resolve(),
      close: () => undefined,
    };
    const acme = { ...environmentWith().acme, trusted };
    const effects = { ports: site.ports, authorities: undefined };
    return openSite({ domain: site.domain, acme }, { access: { server }, effects });
  };
  const look = (site: PublicSite) => checkCertificate(site, { days: 14, now: Date.now, signal: unaborted });

  it("trusts the certificate that the server holds where the authority is for tests only", async () => {
    const { site, certificate } = await startIssuedSite("localhost");

    expect(await look(await open(site, { trusted: false, held: certificate }))).toMatchObject({
      outcome: "ok",
    });
  });

  it("trusts no other certificate of that authority", async () => {
    const { site } = await startIssuedSite("localhost");
    const other = await startIssuedSite("localhost");

    expect(await look(await open(site, { trusted: false, held: other.certificate }))).toMatchObject({
      outcome: "failed",
    });
  });

  it("asks nothing of the server where the authority is one that browsers trust", async () => {
    const { site, certificate } = await startIssuedSite("localhost");

    expect((await open(site, { trusted: true, held: certificate })).authorities).toBeUndefined();
  });
});

describe("checkCertificate", () => {
  const look = (site: PublicSite, now = Date.now) =>
    checkCertificate(site, { days: 14, now, signal: unaborted });

  it("is ok with a trusted certificate of the right name that stays valid", async () => {
    const site = await startSite("localhost");

    expect(await look(site)).toEqual({
      outcome: "ok",
      detail: "émis par Essai, Essai racine, encore 59 jours",
      measures: { certificateDays: 59 },
    });
  });

  it("fails when the certificate expires soon or has expired", async () => {
    const site = await startSite("localhost", { days: 10 });

    expect(await look(site)).toMatchObject({
      outcome: "failed",
      detail:
        "plus que 9 jours, attendu 14 : le renouvellement ne se fait pas (émis par Essai, Essai racine, encore 9 jours)",
    });
    expect(await look(site, () => Date.now() + 30 * 86_400_000)).toMatchObject({
      outcome: "failed",
    });
  });

  it("reports a wrong name and an untrusted authority at once", async () => {
    const site = await startSite("autre.example");
    const found = await look({ ...site, authorities: undefined });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toContain("chaîne refusée par cette machine (UNABLE_TO_VERIFY_LEAF_SIGNATURE)");
    expect(found.detail).toContain("noms : attendu localhost, trouvé DNS:autre.example");
  });

  it("throws when the site does not answer", async () => {
    await expect(look(SILENT)).rejects.toThrow();
  });
});

describe("the checks of a site with a frontend", () => {
  const serve = (answer: RequestListener) => startSite("localhost", { answer });
  const closedPaths = (site: PublicSite) =>
    checkClosedPaths(site, { otherHosts: [], openPaths: [], hasFrontend: true, signal: unaborted });
  const page: RequestListener = (_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<html><title>TechnicIA</title></html>");
  };

  it("pass when every path serves the frontend's page", async () => {
    const site = await serve(page);

    expect(await checkFrontend(site, unaborted)).toEqual({
      outcome: "ok",
      detail: "page « TechnicIA »",
    });
    expect(await closedPaths(site)).toMatchObject({
      outcome: "ok",
      measures: { open: 0 },
    });
    // A page that answers to every path says nothing about health.
    expect(await checkHealthRoute(site, unaborted)).toMatchObject({ outcome: "failed" });
  });

  it("fail for a page of n8n and for no page", async () => {
    const site = await serve((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<html><title>n8n.io - Workflow Automation</title></html>");
    });
    expect(await closedPaths(site)).toMatchObject({ outcome: "failed" });

    const bare = await serve((_request, response) => response.writeHead(404).end());
    expect(await checkFrontend(bare, unaborted)).toMatchObject({ outcome: "failed" });
  });

  it("want the HSTS header if, and only if, the authority is trusted", async () => {
    const site = await serve((_request, response) => {
      response.setHeader("x-content-type-options", "nosniff");
      response.setHeader("x-frame-options", "SAMEORIGIN");
      response.setHeader("referrer-policy", "strict-origin-when-cross-origin");
      response.setHeader("strict-transport-security", "max-age=31536000");
      response.end();
    });
    const headers = (isTrusted: boolean) => checkHeaders(site, { isTrusted, signal: unaborted });

    expect(await headers(true)).toMatchObject({ outcome: "ok" });
    expect(await headers(false)).toMatchObject({
      outcome: "failed",
      detail: "strict-transport-security : présent alors que l'autorité n'est pas reconnue",
    });
  });
});

describe("checkTlsVersions", () => {
  it("is ok when the site accepts the two new versions only", async () => {
    const site = await startSite("localhost", { minVersion: "TLSv1.2" });

    expect(await checkTlsVersions(site, unaborted)).toEqual({
      outcome: "ok",
      detail: "TLSv1 refusée, TLSv1.1 refusée, TLSv1.2 acceptée, TLSv1.3 acceptée",
    });
  });

  it("fails when the site accepts an old version or refuses a new one", async () => {
    const old = await startSite("localhost", { minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" });
    expect(await checkTlsVersions(old, unaborted)).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("TLSv1 acceptée, TLSv1.1 acceptée") as string,
    });

    const stuck = await startSite("localhost", { maxVersion: "TLSv1.2" });
    expect(await checkTlsVersions(stuck, unaborted)).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("TLSv1.3 refusée") as string,
    });
  });

  it("throws when the site does not answer", async () => {
    await expect(checkTlsVersions(SILENT, unaborted)).rejects.toThrow();
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

  it("is ok when the right ports are open, and fails for a port too many or too few", async () => {
    const [wanted, extra] = [await startListener("127.0.0.1"), await startListener("127.0.0.1")];
    const look = (open: readonly number[], closed: readonly number[]) =>
      checkPorts({ address: "127.0.0.1", open, closed, signal: unaborted });

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

  it("tries every one of the stack's and Docker's ports", async () => {
    const wanted = await startListener("127.0.0.1");
    const found = await checkPorts({
      address: "127.0.0.1",
      open: [wanted],
      closed: CLOSED_PORTS,
      signal: unaborted,
    });

    expect(found.measures?.["portsTried"]).toBeGreaterThan(30);
  });

  it("tries every port of the monitoring, each once", () => {
    expect(CLOSED_PORTS).toEqual(expect.arrayContaining(Object.values(LOOPBACK_PORTS)));
    expect(CLOSED_PORTS).toEqual([...new Set(CLOSED_PORTS)]);
  });

  it.runIf(own6)("tries an IPv6 address when this machine has one", async () => {
    const wanted = await startListener(own6!);

    expect(
      await checkPorts({ address: own6!, open: [wanted], closed: [9], signal: unaborted }),
    ).toMatchObject({
      outcome: "ok",
    });
  });

  it("is never ok without a route", async () => {
    // An address of the documentation's range: without a default route there is none to it, with one it stays silent.
    const found = await checkPorts({
      address: "2001:db8:ffff::1",
      open: [443],
      closed: [],
      signal: unaborted,
    });

    expect(found.outcome).not.toBe("ok");
    expect(found.detail).toMatch(/n'a pas d'IPv6|aucune route|fermés à tort/);
  });
});

describe("checkLoad", () => {
  const thresholds = { ...releaseLimits(environmentWith()), loadSeconds: 1, requestsPerSecond: 20 };
  const look = (site: PublicSite, changes: Partial<typeof thresholds> = {}, signal = unaborted) =>
    checkLoad(site, { path: "/", thresholds: { ...thresholds, ...changes }, signal });

  it("measures a fast site without exceeding its load", async () => {
    const site = await startSite("localhost");
    // A busy machine answers late, and seldom.
    const found = await look(site, { p50Ms: 2000, p95Ms: 5000, p99Ms: 5000, requestsPerSecond: 5 });

    expect(found.outcome, found.detail).toBe("ok");
    expect(found.measures).toMatchObject({ errorRatio: 0 });
    expect(found.measures?.["requests"]).toBeLessThan(10 * 4);
    const { p50Ms = 0, p95Ms = 0, p99Ms = 0 } = found.measures ?? {};
    expect([p50Ms <= p95Ms, p95Ms <= p99Ms, p99Ms > 0]).toEqual([true, true, true]);
  });

  it("measures the server and not the way to it: from far away the same site is as fast, and is asked as often", async () => {
    const near = await startSite("localhost");
    const site = { ...near, ports: { ...near.ports, https: await startDistance(near.ports.https, 250) } };
    // Only their difference is judged: how fast a busy machine is at all does not matter here.
    const limits = { requestsPerSecond: 25, p50Ms: 60_000, p95Ms: 60_000, p99Ms: 60_000, loadSeconds: 5 };
    const { measures: nearby = {} } = await look(near, limits);
    const found = await look(site, limits);

    expect(found.detail).toMatch(/\(sans le trajet de \d+(\.\d)? ms\), \d+ requêtes\/s/);
    const { rttMs = 0, p50Ms = 0, requestsPerSecond = 0 } = found.measures ?? {};
    expect(rttMs).toBeGreaterThanOrEqual(490);
    expect(p50Ms - (nearby["p50Ms"] ?? 0)).toBeLessThan(250);
    // Ten connections, as many as from nearby, would do no more than 20 requests of the 38 a second over this distance.
    expect(requestsPerSecond).toBeGreaterThan(0.65 * (nearby["requestsPerSecond"] ?? Infinity));
  });

  it("fails for a slow site and names each exceeded time", async () => {
    const site = await startSite("localhost", {
      answer: (_request, response) => void setTimeout(() => response.end("ici"), 150),
    });
    const found = await look(site, { p50Ms: 50, p95Ms: 50, p99Ms: 50 });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toMatch(/^p50 au-dessus de 50 ms ; p95 au-dessus de 50 ms ; p99 au-dessus de 50 ms/);
    // Less the way there and back, which on a busy machine takes a while.
    expect(found.measures?.["p50Ms"]).toBeGreaterThan(50);
  });

  it("fails for a site that answers too rarely, and counts wrong answers", async () => {
    let asked = 0;
    const site = await startSite("localhost", {
      answer: (_request, response) => {
        asked += 1;
        response.statusCode = asked % 4 === 0 ? 500 : 200;
        setTimeout(() => response.end("ici"), 100);
      },
    });
    const found = await look(site, { requestsPerSecond: 1000 });

    expect(found.detail).toContain("erreurs au-dessus de 1 %");
    expect(found.detail).toContain("débit sous 1000 requêtes/s");
    expect(found.measures?.["errorRatio"]).toBeCloseTo(0.25, 1);
  });

  it("fails and ends early when the site does not answer", async () => {
    const began = performance.now();

    expect(await look(SILENT)).toMatchObject({ outcome: "failed" });
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it("stops when it is aborted", async () => {
    const site = await startSite("localhost");
    const stop = new AbortController();
    const running = look(site, { loadSeconds: 600 }, stop.signal);
    setTimeout(() => stop.abort(new Error("assez")), 100);

    await expect(running).rejects.toThrow("assez");
  });
});

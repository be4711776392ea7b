/** The rows of several servers: each machine and each gateway has its own. */
import { createServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import type { Check } from "../../../common/check.ts";
import { UserError } from "../../../common/user-error.ts";
import type { CheckContext } from "../../../ops/checks/context.ts";
import { openMachines } from "../../../ops/checks/machines.ts";
import { preflight } from "../../../ops/checks/preflight.ts";
import { verify } from "../../../ops/checks/verify.ts";
import { Session } from "../../../ops/deploy/session.ts";
import { three, twoAndWitness } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "../servers/test-fleet.ts";
import { byId, close, effectsWith, issue, type Issued } from "./fixtures.ts";

const DOMAIN = "technicia.exemple.fr";

let fleet: TestFleet;
const cleaning: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const clean of cleaning.splice(0)) await clean();
  await fleet[Symbol.asyncDispose]();
});

async function start(listed: readonly ListedServer[]): Promise<void> {
  fleet = await TestFleet.open(listed);
  fleet.stack.deployed = true;
}

async function during<T>(work: (context: CheckContext) => Promise<T>): Promise<T> {
  const request = { stack: "test", why: undefined, operator: fleet.world };
  return await Session.during(request, ({ context }) => work(context));
}

/** Rows of checks that are not run, which takes no time. */
const unrun = (work: typeof verify) => {
  const stopped = AbortSignal.abort(new Error("stopped"));
  return during((context) => work({ ...context, signal: stopped }, effectsWith()));
};

const rows = (checks: readonly Check[], id: string) =>
  checks.filter((one) => one.id === id || one.id.startsWith(`${id}-gra`) || one.id.startsWith(`${id}-sbg`));

const names = (checks: readonly Check[], id: string) =>
  rows(checks, id).map(({ title }) => / \((\S+)\)$/.exec(title)?.[1]);

describe("the rows of a verification of several servers", () => {
  it.each([
    ["functional-server", ["gra-1", "gra-2", "sbg-1"]],
    ["functional-https", ["gra-1", "gra-2"]],
    ["performance-health", ["gra-1", "gra-2"]],
    ["performance-pages", ["gra-1", "gra-2"]],
    ["performance-resources", ["gra-1", "gra-2", "sbg-1"]],
    ["security-ports-v4", ["gra-1", "gra-2", "sbg-1"]],
    ["security-ports-v6", ["gra-1", "gra-2", "sbg-1"]],
    ["security-tls", ["gra-1", "gra-2"]],
    ["security-certificate", ["gra-1", "gra-2"]],
  ])("are, of %s, those of %s", async (id, expected) => {
    await start(twoAndWitness);

    expect(names(await unrun(verify), id)).toEqual(expected);
  });

  it("have the ids of an only server for the first one, and no id twice", async () => {
    await start(twoAndWitness);
    const ids = (await unrun(verify)).map(({ id }) => id);

    expect(ids).toEqual([...new Set(ids)]);
    expect(ids).toEqual(expect.arrayContaining(["performance-health", "performance-health-gra-2"]));
  });

  it.each([
    ["server", ["gra-1", "gra-2", "sbg-1"]],
    ["firewall-ports", ["gra-1", "gra-2", "sbg-1"]],
    ["certificates", ["gra-1", "gra-2"]],
    ["health-endpoints", ["gra-1", "gra-2"]],
    ["clock", ["gra-1", "gra-2", "sbg-1"]],
    // A witness pulls no image.
    ["room", ["gra-1", "gra-2"]],
  ])("are, before a deployment, of %s those of %s", async (id, expected) => {
    await start(twoAndWitness);

    expect(names(await unrun(preflight), id)).toEqual(expected);
  });

  it("are one of each where there is one server, without its name", async () => {
    await start([]);
    const checks = await unrun(verify);

    expect(checks.filter(({ title }) => title.includes("(main)"))).toEqual([]);
    expect(rows(checks, "security-tls").map(({ id, title }) => [id, title])).toEqual([
      ["security-tls", "Versions de TLS"],
    ]);
  });
});

describe("openMachines", () => {
  it("logs in to each server, and names the one that is away", async () => {
    await start(three);
    await fleet.powerOff("gra-2");
    const { checks, all } = await during((context) => openMachines(context, "server"));

    expect(checks.map(({ id, title, outcome }) => [id, title, outcome])).toEqual([
      ["server", "Serveur joignable par ssh (gra-1)", "ok"],
      ["server-gra-2", "Serveur joignable par ssh (gra-2)", "failed"],
      ["server-gra-3", "Serveur joignable par ssh (gra-3)", "ok"],
    ]);
    expect(all.map(({ access }) => access.server !== undefined)).toEqual([true, false, true]);
    expect(all.map(({ ipv4 }) => ipv4)).toEqual(["203.0.113.10", "203.0.113.11", "203.0.113.12"]);
    expect(all.map(({ ipv6 }) => ipv6)).toEqual([
      ...["2001:db8:113::10", "2001:db8:113::11", "2001:db8:113::12"],
    ]);
  });

  it("knows which one is drained, and that a witness is not, which never works", async () => {
    await start(twoAndWitness);
    await fleet.change(({ nodes }) => void (nodes[1]!.availability = "drain"));
    const { all } = await during((context) => openMachines(context, "server"));

    expect(all.map(({ name, isDrained }) => [name, isDrained])).toEqual([
      ["gra-1", false],
      ["gra-2", true],
      ["sbg-1", false],
    ]);
  });

  it("looks at the server of the data alone where the state cannot be read, and says so", async () => {
    await start(three);
    const { checks, all } = await during((context) => {
      const failing = { ...context, pulumi: () => Promise.reject(new UserError("no state")) };
      return openMachines(failing, "server");
    });

    expect(checks[1]).toMatchObject({ id: "server-others", outcome: "not-checked" });
    expect(checks[1]!.detail).toContain("no state");
    expect(all).toHaveLength(1);
  });
});

describe("a verification of three servers, two of which take visitors", () => {
  /** A site at the addresses of all three, with the certificate of the domain where nothing else is said. */
  async function startSites(instead: Readonly<Record<string, Issued>> = {}) {
    const labels = three.map((one) => ({ ...one, labels: one.name === "gra-3" ? [] : one.labels }));
    await start(labels);
    const file = parse(fleet.stack.settings) as { config: Record<string, object> };
    file.config["technicia:monitoring"] = {
      enabled: false,
      thresholds: { release: { loadSeconds: 1, requestsPerSecond: 10 } },
    };
    fleet.stack.settings = stringify(file);
    fleet.declare();
    fleet.network = "127.0.0";
    const issued = await issue(DOMAIN, 60);
    cleaning.push(() => issued.remove());
    let port = 0;
    const asked: string[] = [];
    for (const { name } of three) {
      const { certificate: cert, key } = instead[name] ?? issued;
      const server = createServer({ cert, key });
      server.on("request", ({ headers, url }, response) => {
        asked.push(`${name} ${headers.host} ${url}`);
        response.writeHead(url === "/healthz" ? 200 : 404, { "content-type": "application/json" });
        response.end('{"status":"ok"}');
      });
      port = await listenAt(server, { host: fleet.addressOf(name), port });
      cleaning.push(() => close(server));
    }
    const effects = effectsWith({ ports: { http: 9, https: port }, authorities: issued.authority });
    return { asked, port, effects };
  }

  it("asks each gateway at its own address, under the name of the environment", async () => {
    const other = await issue("autre.exemple.fr", 60);
    cleaning.push(() => other.remove());
    const { asked, port, effects } = await startSites({ "gra-2": other });
    const checks = await during((context) => verify(context, effects));

    expect(rows(checks, "security-tls").map(({ outcome }) => outcome)).not.toContain("failed");
    expect(rows(checks, "security-certificate").map(({ outcome }) => outcome)).toEqual(["ok", "failed"]);
    expect(byId(checks, "security-certificate-gra-2").detail).toContain("autre.exemple.fr");
    expect(rows(checks, "functional-https").map(({ outcome }) => outcome)).toEqual(["ok", "failed"]);
    expect(rows(checks, "performance-health").map(({ measures }) => measures?.["errorRatio"])).toEqual([
      0, 0,
    ]);
    expect(asked).toEqual(
      expect.arrayContaining([`gra-1 ${DOMAIN} /healthz`, `gra-2 ${DOMAIN} /healthz`]) as string[],
    );
    expect(asked.filter((line) => line.startsWith("gra-3"))).toEqual([]);
    // Visitors have no business with it.
    expect(byId(checks, "security-ports-v4-gra-3").detail).toMatch(
      new RegExp(String.raw`^127\.0\.0\.12 : ouverts de trop : .*\b${port}\b`),
    );
    expect(byId(checks, "security-ports-v4").detail).not.toMatch(
      new RegExp(String.raw`ouverts de trop :[^;]*\b${port}\b`),
    );
  }, 60_000);

  it("expects no visitors at a gateway that is drained", async () => {
    const { asked, port, effects } = await startSites();
    await fleet.change(({ nodes }) => void (nodes[1]!.availability = "drain"));
    const checks = await during((context) => verify(context, effects));

    for (const id of ["security-tls-gra-2", "functional-https-gra-2", "performance-health-gra-2"])
      expect(byId(checks, id)).toMatchObject({
        outcome: "not-checked",
        detail: "serveur vidé : aucun visiteur n'y arrive",
      });
    expect(byId(checks, "functional-https").outcome).toBe("ok");
    expect(asked.filter((line) => line.startsWith("gra-2"))).toEqual([]);
    expect(byId(checks, "security-ports-v4-gra-2").detail).not.toMatch(
      new RegExp(String.raw`fermés à tort :[^;]*\b${port}\b`),
    );
  }, 60_000);
});

function listenAt(
  server: HttpsServer,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-call,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { ensureAuthority, ensureCertificate } from "../../../rehearsal/authority.ts";
import type { Call } from "../../../rehearsal/fake-clouds/api/calls.ts";
import type { Configuration } from "../../../rehearsal/fake-clouds/configuration.ts";
import { DEFAULT_CREDENTIAL } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { ask, lines } from "./dns/client.ts";
import { until } from "../../support/until.ts";
import { fillCart } from "./ovh/ordering.ts";
import { freePorts } from "../../support/free-ports.ts";
import { type Answered, anonymously, ovhClient } from "./ovh/client.ts";

const MAIN = join(import.meta.dirname, "../../../rehearsal/fake-clouds/main.ts");
const TOKEN = "t".repeat(40);
const ZONE_ID = "0123456789abcdef0123456789abcdef";
const IP = "203.0.113.10";

let folder: string;
let ports: Required<NonNullable<Configuration["ports"]>>;
let configuration: Configuration;
let child: ChildProcess | undefined;
let said: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-clouds-"));
  const [ovh = 0, cloudflare = 0, webhooks = 0, management = 0, dns = 0] = await freePorts(5);
  ports = { ovh, cloudflare, webhooks, management, dns };
  const { applicationKey, applicationSecret, consumerKey } = DEFAULT_CREDENTIAL;
  configuration = {
    listen: "127.0.0.1",
    ports,
    ovh: {
      ...{ applicationKey, applicationSecret, consumerKey },
      zones: ["at-ovh.example"],
      servers: [{ planCode: "vps-2027-model2", serviceName: "vps-00000001.vps.ovh.net" }],
    },
    cloudflare: { token: TOKEN, zone: { id: ZONE_ID, name: "technicia.example" } },
    dns: { names: { "registry-1.docker.io": ["198.51.100.5"] } },
  };
});
afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) await stop("SIGKILL");
  await rm(folder, { recursive: true });
});

async function start(args: readonly string[] = []): Promise<void> {
  const path = join(folder, "config.json");
  await writeFile(path, JSON.stringify(configuration));
  const started = spawn(process.execPath, [MAIN, path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  child = started;
  said = "";
  for (const stream of [started.stdout, started.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  await until("the clouds say where they listen", () => {
    if (started.exitCode !== null) throw new Error(`the clouds ended with ${started.exitCode}: ${said}`);
    return said.includes("management http");
  });
}

async function stop(signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child as ChildProcess, "exit");
  child?.kill(signal);
  const [code] = (await ended) as [number | null];
  return code;
}

const ovh = () => ovhClient(`http://127.0.0.1:${ports.ovh}/1.0`);
const manage = (method: string, path: string, body?: unknown): Promise<Answered> =>
  anonymously(`http://127.0.0.1:${ports.management}${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const cloudflare = (method: string, path: string, body?: unknown): Promise<Answered> =>
  anonymously(`http://127.0.0.1:${ports.cloudflare}/client/v4${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const name = async (asked: string, type: string) => lines((await ask(ports.dns, asked, type)).answers);

describe("the process of the clouds", () => {
  it("serves both APIs, names from both and the management port", async () => {
    await start();
    expect((await ovh()("GET", "/vps")).body).toEqual(["vps-00000001.vps.ovh.net"]);
    const record = { name: "n8n", type: "A", content: IP, ttl: 60 };
    expect((await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, record)).status).toBe(200);
    await ovh()("POST", "/domain/zone/at-ovh.example/record", {
      fieldType: "A",
      subDomain: "n8n",
      target: IP,
    });
    await ovh()("POST", "/domain/zone/at-ovh.example/refresh");
    expect((await manage("GET", "/settled")).body).toEqual({ failures: [] });

    expect(await name("n8n.technicia.example", "A")).toEqual([`n8n.technicia.example A ${IP}`]);
    expect(await name("n8n.at-ovh.example", "A")).toEqual([`n8n.at-ovh.example A ${IP}`]);
    expect(await name("registry-1.docker.io", "A")).toEqual(["registry-1.docker.io A 198.51.100.5"]);
    expect(await name("vps-00000001.vps.ovh.net", "A")).toEqual([`vps-00000001.vps.ovh.net A ${IP}`]);
    expect((await manage("GET", "/health")).body).toEqual({ ready: true });
  });

  it("accepts a reverse name once the name points to the address, at either provider", async () => {
    await start();
    const reverse = { ipReverse: IP, reverse: "n8n.technicia.example." };
    const path = `/ip/${IP}%2F32/reverse`;
    expect((await ovh()("POST", path, reverse)).status).toBe(400);
    expect(await name("10.113.0.203.in-addr.arpa", "PTR")).toEqual([
      "10.113.0.203.in-addr.arpa PTR vps-00000001.vps.ovh.net",
    ]);
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, {
      name: "n8n",
      type: "A",
      content: IP,
      ttl: 60,
    });

    expect((await ovh()("POST", path, reverse)).status).toBe(200);
    expect(await name("10.113.0.203.in-addr.arpa", "PTR")).toEqual([
      "10.113.0.203.in-addr.arpa PTR n8n.technicia.example",
    ]);
  });

  it("answers Cloudflare's addresses for a record that is proxied", async () => {
    await start();
    const record = { name: "web", type: "A", content: IP, ttl: 1, proxied: true };
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, record);

    expect(await name("web.technicia.example", "A")).toEqual(["web.technicia.example A 198.51.100.104"]);
  });

  it("has the records that it is started with, and they stay deleted", async () => {
    const parked = { name: "n8n.technicia.example", type: "A", content: "192.0.2.80", ttl: 300 };
    configuration = { ...configuration, cloudflare: { ...configuration.cloudflare, records: [parked] } };
    const state = join(folder, "state.json");
    await start(["--state", state]);

    expect(await name("n8n.technicia.example", "A")).toEqual(["n8n.technicia.example A 192.0.2.80"]);
    const [{ id }] = (await cloudflare("GET", `/zones/${ZONE_ID}/dns_records`)).body.result;
    await cloudflare("DELETE", `/zones/${ZONE_ID}/dns_records/${id}`);
    await stop("SIGTERM");
    await start(["--state", state]);
    expect(await name("n8n.technicia.example", "A")).toEqual([]);
  });

  it("says what was asked for before it existed, where absences are kept", async () => {
    configuration = { ...configuration, dns: { keepsAbsence: true } };
    await start();
    const record = { name: "n8n", type: "A", content: IP, ttl: 60 };
    expect(await name("n8n.technicia.example", "A")).toEqual([]);
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, record);
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, { ...record, name: "other" });

    expect(await name("n8n.technicia.example", "A")).toEqual([]);
    expect(await name("other.technicia.example", "A")).toEqual([`other.technicia.example A ${IP}`]);
    expect((await manage("GET", "/absences")).body).toEqual(["n8n.technicia.example A"]);
  });

  it("takes webhooks with a certificate, lists them and fails when it is told to", async () => {
    await ensureAuthority(folder);
    const issued = await ensureCertificate(folder, { name: "webhooks", names: ["hooks.slack.com"] });
    const [cert, key] = [await readFile(issued.certificate, "utf8"), await readFile(issued.key, "utf8")];
    configuration = { ...configuration, webhooks: { cert, key } };
    await start();
    const post = async () => {
      const url = `https://hooks.slack.com:${ports.webhooks}/services/T0/B0/x`;
      const send = ["--cacert", join(folder, "ca.pem"), "--data", "{}", "--write-out", "%{http_code}"];
      return run(["curl", "--silent", "--connect-to", `::127.0.0.1:${ports.webhooks}`, ...send, url]);
    };

    expect(await post()).toBe("ok200");
    await manage("POST", "/faults", {
      api: "webhooks",
      path: "^/services/",
      status: 500,
      body: "<p>down</p>",
    });
    expect(await post()).toBe("<p>down</p>500");
    const { body } = await manage("GET", "/calls?api=webhooks");
    expect(body.map((call: Call) => [call.path, call.status])).toEqual([
      ["/services/T0/B0/x", 200],
      ["/services/T0/B0/x", 500],
    ]);
  });

  it("ends with 0 on SIGTERM", async () => {
    await start();

    expect(await stop("SIGTERM")).toBe(0);
  });

  it("fails without a configuration", async () => {
    const started = spawn(process.execPath, [MAIN], { stdio: ["ignore", "ignore", "pipe"] });
    let error = "";
    started.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));

    expect(await once(started, "close")).toEqual([1, null]);
    expect(error).toContain("usage: node main.ts <configuration.json> [--state <file>]");
  });

  it("forgets everything at a restart when it has no state file", async () => {
    await start();
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, {
      name: "n8n",
      type: "A",
      content: IP,
      ttl: 60,
    });
    await stop("SIGTERM");
    await start();

    expect((await cloudflare("GET", `/zones/${ZONE_ID}/dns_records`)).body.result).toEqual([]);
  });

  it("continues after a kill, slow states included, when it has a state file", async () => {
    const state = join(folder, "state.json");
    await start(["--state", state]);
    await manage("POST", "/delays", { checkingMs: 3_600_000, ruleMs: 3_600_000 });
    await cloudflare("POST", `/zones/${ZONE_ID}/dns_records`, {
      name: "n8n",
      type: "A",
      content: IP,
      ttl: 60,
    });
    const { orderId } = (await ovh()("POST", `${await fillCart(ovh())}/checkout`)).body;
    const [id] = (await ovh()("GET", "/me/payment/method?default=true")).body;
    await ovh()("POST", `/me/order/${orderId}/pay`, { paymentMethod: { id } });
    await stop("SIGKILL");
    const saved = JSON.parse(await readFile(state, "utf8")) as {
      ovh: { jobs: { kind: string; at: number }[] };
    };
    for (const job of saved.ovh.jobs) job.at = Date.now();
    await writeFile(state, JSON.stringify(saved));
    await start(["--state", state]);

    expect(saved.ovh.jobs.map(({ kind }) => kind)).toEqual(["order:checked"]);
    expect((await manage("GET", "/settled")).body).toEqual({ failures: [] });
    expect((await ovh()("GET", `/me/order/${orderId}/status`)).body).toBe("delivered");
    expect((await ovh()("GET", "/vps")).body).toHaveLength(2);
    expect((await cloudflare("GET", `/zones/${ZONE_ID}/dns_records`)).body.result).toHaveLength(1);
  });
});

describe("the management port", () => {
  const firewall = `/ovh/ip/${IP}/firewall`;

  beforeEach(() => start());

  it("lists and clears the calls to both APIs", async () => {
    await cloudflare("GET", "/zones");
    await ovh()("GET", "/vps");
    const paths = (await manage("GET", "/calls")).body.map(
      (call: { api: string; path: string }) => `${call.api} ${call.path}`,
    );

    expect(paths).toEqual(["cloudflare /zones", "ovh /auth/time", "ovh /vps"]);
    expect((await manage("GET", "/calls?api=cloudflare")).body).toHaveLength(1);
    await manage("DELETE", "/calls");
    expect((await manage("GET", "/calls")).body).toEqual([]);
  });

  it("sets and clears faults", async () => {
    await manage("POST", "/faults", { api: "cloudflare", path: "^/zones", status: 503, times: 0 });
    expect((await cloudflare("GET", "/zones")).status).toBe(503);
    expect((await manage("GET", "/faults")).body).toMatchObject([{ status: 503, seen: 1 }]);
    await manage("DELETE", "/faults");
    expect((await cloudflare("GET", "/zones")).status).toBe(200);
    expect((await manage("POST", "/faults", { api: "ovh", path: "(" })).status).toBe(400);
  });

  it("changes a server, an order, the account and the stock", async () => {
    const server = "/ovh/vps/vps-00000001.vps.ovh.net";
    await manage("PATCH", server, { netbootMode: "rescue", state: "rescued" });
    expect((await ovh()("GET", "/vps/vps-00000001.vps.ovh.net")).body).toMatchObject({
      state: "rescued",
      netbootMode: "rescue",
    });
    await manage("PATCH", server, { expired: true });
    expect((await ovh()("GET", "/vps/vps-00000001.vps.ovh.net")).status).toBe(460);
    await manage("PATCH", "/ovh/account", { defaultPaymentMethod: false });
    expect((await ovh()("GET", "/me/payment/method?default=true")).body).toEqual([]);
    await manage("PATCH", "/ovh/stock", { GRA: "out-of-stock" });
    const { orderId } = (await manage("GET", "/state")).body.ovh.orders[0];
    await manage("PATCH", `/ovh/order/${orderId}`, { status: "cancelled" });
    expect((await ovh()("GET", `/me/order/${orderId}/status`)).body).toBe("cancelled");
    expect(
      (await manage("POST", "/ovh/vps", { planCode: "vps-2027-model1", displayName: "other" })).status,
    ).toBe(200);
    expect((await ovh()("GET", "/vps")).body).toHaveLength(2);
  });

  it("changes the firewall of an address and its rules", async () => {
    await ovh()("POST", `/ip/${IP}%2F32/firewall`, { ipOnFirewall: IP });
    await manage("PUT", `${firewall}/rule/3`, { protocol: "tcp", destinationPort: 8000 });
    await manage("PATCH", firewall, { enabled: true });
    expect((await ovh()("GET", `/ip/${IP}%2F32/firewall/${IP}`)).body).toMatchObject({
      enabled: true,
      state: "ok",
    });
    expect((await ovh()("GET", `/ip/${IP}%2F32/firewall/${IP}/rule/3`)).body).toMatchObject({
      destinationPort: "eq 8000",
      action: "permit",
      state: "ok",
    });
    await manage("PUT", `${firewall}/rule/3`, { action: "deny" });
    expect((await ovh()("GET", `/ip/${IP}%2F32/firewall/${IP}/rule/3`)).body.rule).toContain("deny tcp any");
    await manage("DELETE", `${firewall}/rule/3`);
    expect((await ovh()("GET", `/ip/${IP}%2F32/firewall/${IP}/rule`)).body).toEqual([]);
    await manage("DELETE", firewall);
    expect((await ovh()("GET", `/ip/${IP}%2F32/firewall`)).body).toEqual([]);
  });

  it("changes names at either provider, which the name server then answers", async () => {
    const record = (
      await manage("POST", "/cloudflare/zone/technicia.example/record", {
        name: "a",
        type: "A",
        content: IP,
        ttl: 60,
      })
    ).body;
    expect(await name("a.technicia.example", "A")).toHaveLength(1);
    await manage("PATCH", `/cloudflare/zone/technicia.example/record/${record.id}`, { content: "192.0.2.9" });
    expect(await name("a.technicia.example", "A")).toEqual(["a.technicia.example A 192.0.2.9"]);
    await manage("DELETE", `/cloudflare/zone/technicia.example/record/${record.id}`);
    expect(await name("a.technicia.example", "A")).toEqual([]);

    const zone = (
      await manage("POST", "/ovh/zone/at-ovh.example/record", { fieldType: "A", subDomain: "b", target: IP })
    ).body;
    const path = `/ovh/zone/at-ovh.example/record/${zone.records[0].id}`;
    await manage("PATCH", path, { target: "192.0.2.9" });
    expect(await name("b.at-ovh.example", "A")).toEqual(["b.at-ovh.example A 192.0.2.9"]);
    await manage("DELETE", path);
    expect(await name("b.at-ovh.example", "A")).toEqual([]);
    await manage("PATCH", "/cloudflare/zone/technicia.example", { status: "pending" });
    expect((await ask(ports.dns, "technicia.example", "SOA")).rcode).toBe("REFUSED");
  });

  it("fails for an unknown path, name or field", async () => {
    const refusal = async (method: string, path: string, body: object) =>
      (await manage(method, path, body)).body.message as string;

    expect(await refusal("PATCH", "/ovh/vps/vps-9", {})).toBe(
      "vps-9: expected one of vps-00000001.vps.ovh.net",
    );
    expect(await refusal("PATCH", "/ovh/account", { nickname: "x" })).toContain(
      "nickname: expected one of nichandle",
    );
    expect(await refusal("POST", "/delays", { ruleSeconds: 1 })).toContain(
      "delays.ruleSeconds: expected one of",
    );
    expect((await manage("GET", "/nothing")).status).toBe(404);
  });
});

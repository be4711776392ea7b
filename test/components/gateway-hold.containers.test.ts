import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { script } from "../../common/script.ts";
import { type Hold, MOST_WAITING } from "../../components/gateway-hold.ts";
import { imageOf } from "../support/containers.ts";
import { VISITORS } from "../support/gateway.ts";
import { until } from "../support/until.ts";
import { defineGateway, startGateway } from "./gateway-in-container.ts";
import { ask, createStage, type Question, type Stage } from "./nginx.ts";

const DOMAIN = "technicia.exemple.fr";
const EDITOR = "n8n.technicia.exemple.fr";
const MIB = 1024 * 1024;
const HOLD: Hold = { maxSeconds: 60, drainSeconds: 20, exclude: ["/webhook/impatient"] };

let stage: Stage;
let gateway: string;

/** Where the test reaches what stands in for n8n. */
let service: string;

/** As the gateway's component installs it. */
let holdScript: string;

const define = (hold: Hold, editorCidr = "192.0.2.0/24") =>
  defineGateway({
    hold,
    editorDomain: EDITOR,
    editorCidrs: [editorCidr],
    uploadMaxMib: 4,
    visitors: { ...VISITORS, requestsPerSecond: 2000, burst: 2000, connections: 2000 },
  });

async function start(hold: Hold, editorCidr?: string): Promise<void> {
  const files = await define(hold, editorCidr);
  if (files.hold === undefined) throw new Error("expected the files of the hold, got none");
  await stage.write("routes/n8n.conf", files.route.content);
  await stage.write("hold.js", files.hold.program);
  holdScript = files.hold.script;
  gateway = await startGateway(stage, { files });
}

/** What the script on the server prints, in its four parts. */
async function control(verb: "pause" | "renew" | "resume" | "state") {
  const printed = await run(["bash", "-s", verb], { input: holdScript });
  const [state, left, inFlight, waiting] = printed.trim().split(" ");
  return { state, left: Number(left), inFlight: Number(inFlight), waiting: Number(waiting) };
}

const get = (path: string, change: Partial<Question> = {}) => ask(gateway, { path, name: DOMAIN, ...change });

const waiting = (count: number) =>
  until(`${count} requests wait`, async () => (await control("state")).waiting === count);

const inFlight = (count: number) =>
  until(`${count} requests are in flight`, async () => (await control("state")).inFlight === count);

/** Begins a request that the test may end or give up. */
function begin(path: string, headers: Readonly<Record<string, string>> = {}) {
  const sent = request({
    ...{ host: gateway, servername: DOMAIN, path, agent: false, rejectUnauthorized: false },
    headers: { host: DOMAIN, ...headers },
  });
  const answer = once(sent, "response") as Promise<[IncomingMessage]>;
  answer.catch(() => undefined);
  sent.end();
  return { sent, answer };
}

beforeAll(async () => {
  stage = await createStage({});
  await copyFile(new URL("slow-service.mjs", import.meta.url), join(stage.folder, "service.mjs"));
  service = await stage.network.start("service", [
    ...["--network-alias", "n8n", "--network-alias", "vector-store"],
    ...["--volume", `${stage.folder}:/service:ro`, await imageOf("node"), "node", "/service/service.mjs"],
  ]);
  await start(HOLD, stage.network.subnet);
});

afterEach(async () => {
  await control("resume");
  await get("/webhook/release");
  await inFlight(0);
  await waiting(0);
});

afterAll(() => stage.remove());

describe("a request to n8n", () => {
  it("passes at once without a pause", async () => {
    expect(await control("state")).toMatchObject({ state: "open", inFlight: 0, waiting: 0 });
    expect((await get("/webhook/waiting")).status).toBe(200);
  });

  it("waits while n8n is paused, and passes once it is not", async () => {
    expect(await control("pause")).toMatchObject({ state: "paused", inFlight: 0 });
    const held = get("/webhook/waiting");
    await waiting(1);

    await control("resume");

    expect((await held).status).toBe(200);
  });

  it("of the editor waits as well", async () => {
    await control("pause");
    const held = get("/rest/settings", { name: EDITOR });
    await waiting(1);
    await control("resume");
    expect((await held).status).toBe(200);
  });

  it.each(["open", "paused"])("has its whole body when it is %s", async (state) => {
    if (state === "paused") await control("pause");
    const body = Buffer.alloc(3 * MIB);
    const sent = get("/api/upload", { method: "POST", body });
    if (state === "paused") {
      await waiting(1);
      await control("resume");
    }

    expect(await sent).toMatchObject({ status: 200, body: String(3 * MIB) });
  });

  it("that is too large is refused without waiting", async () => {
    await control("pause");

    expect((await get("/api/upload", { method: "POST", body: Buffer.alloc(5 * MIB) })).status).toBe(413);
  });

  it("whose path is excluded is answered 503 with Retry-After at once, and passes without a pause", async () => {
    await control("pause");

    for (const path of ["/webhook/impatient", "/webhook/impatient/more", "/webhook/impatient?a=1"])
      expect(await get(path), path).toMatchObject({
        status: 503,
        headers: { "retry-after": "15" },
        body: '{"status":"unavailable"}',
      });
    await control("resume");
    // As n8n answers a webhook that it does not know.
    expect((await get("/webhook/impatient")).status).toBe(404);
  });

  it("that does not concern n8n never waits", async () => {
    await control("pause");

    expect((await get("/healthz")).status).toBe(200);
    expect((await get("/")).status).toBe(404);
    expect((await get("/webhook/..%2fx")).status).toBe(404);
    expect((await fetch(`http://${gateway}/`, { redirect: "manual" })).status).toBe(308);
    expect((await control("state")).waiting).toBe(0);
  });

  it("of as many as may wait is answered, all at once, and one more is answered 503 without waiting", async () => {
    await control("pause");
    const held = Array.from({ length: MOST_WAITING }, () => get("/webhook/waiting"));
    await waiting(MOST_WAITING);
    expect((await get("/webhook/waiting")).status).toBe(503);

    await control("resume");

    const answers = await Promise.all(held);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  });

  it("that its visitor gives up while it waits is forgotten", async () => {
    await control("pause");
    const { sent } = begin("/webhook/waiting");
    await waiting(1);
    sent.destroy();
    await control("resume");

    await waiting(0);
    await inFlight(0);
  });
});

describe("the drain", () => {
  it("ends once n8n has answered what it had begun", async () => {
    const slow = begin("/webhook/hold");
    await inFlight(1);
    const paused = control("pause");
    await until("the pause is set", async () => (await control("state")).state === "paused");
    const held = get("/webhook/waiting");
    await waiting(1);

    // Nothing passes the gateway now.
    await fetch(`http://${service}:5678/webhook/release`);

    expect(await paused).toMatchObject({ state: "paused", inFlight: 0, waiting: 1 });
    (await slow.answer)[0].resume();
    await control("resume");
    expect((await held).status).toBe(200);
  });

  it("does not wait for web sockets", async () => {
    begin("/webhook/hold", { upgrade: "websocket", connection: "upgrade" });
    await until("n8n has it", async () => (await get("/webhook/waiting")).body === "1");

    expect(await control("pause")).toMatchObject({ state: "paused", inFlight: 0 });
  });

  it("counts a request that n8n does not answer no longer", async () => {
    const { sent } = begin("/webhook/hold");
    await inFlight(1);
    sent.destroy();

    await inFlight(0);
  });
});

describe("n8n's public API", () => {
  it.each(["/api/v1/workflows", "/API/V1/workflows", "/api/v1", "/%61pi/v1/workflows", "/api/v2/x"])(
    "is closed at %s under both names",
    async (path) => {
      expect((await get(path)).status).toBe(404);
      expect(await get(path, { name: EDITOR })).toMatchObject({ status: 404 });
      expect((await get(path, { name: EDITOR })).body).not.toBe("{}");
    },
  );
});

describe("a pause", () => {
  it("survives that nginx reads its files again", async () => {
    await expect.poll(() => stage.network.health("gateway"), { timeout: 20_000 }).toBe("healthy");
    await control("pause");
    const held = get("/webhook/waiting");
    await waiting(1);

    const reload = new URL("../../components/scripts/gateway-reload.sh", import.meta.url);
    expect(await tryRun(["bash", "-s"], { input: script(reload) })).toMatchObject({ code: 0 });

    expect(await control("state")).toMatchObject({ state: "paused", waiting: 1 });
    const later = get("/webhook/waiting");
    await waiting(2);
    await control("resume");
    expect([(await held).status, (await later).status]).toEqual([200, 200]);
  });

  it("is no longer than its own time, and nobody has to end it", async () => {
    await stage.network.discard("gateway");
    await start({ ...HOLD, maxSeconds: 2 });
    expect(await control("pause")).toMatchObject({ state: "paused" });

    expect((await get("/webhook/waiting")).status).toBe(200);
    expect(await control("state")).toMatchObject({ state: "open" });
  });

  it("keeps no stranger waiting at the editor", async () => {
    await control("pause");

    expect((await get("/rest/settings", { name: EDITOR })).status).toBe(403);
    expect(await control("state")).toMatchObject({ state: "paused", waiting: 0 });
  });

  it("that is renewed holds no request longer than that time", async () => {
    await control("pause");
    const held = get("/webhook/waiting");
    let isAnswered = false;
    void held.finally(() => (isAnswered = true));
    await until("it is answered", async () => {
      await control("renew");
      return isAnswered;
    });

    expect(await held).toMatchObject({ status: 503, headers: { "retry-after": "15" } });
    expect((await control("state")).waiting).toBe(0);
  });

  it("ends with the gateway", async () => {
    await control("pause");
    await stage.network.discard("gateway");
    await start({ ...HOLD, maxSeconds: 60 });

    expect(await control("state")).toMatchObject({ state: "open" });
    expect((await get("/webhook/waiting")).status).toBe(200);
  });
});

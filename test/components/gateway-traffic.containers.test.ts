import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { docker, imageOf } from "../support/containers.ts";
import { VISITORS } from "../support/gateway.ts";
import { defineGateway, reloadGateway, startGateway } from "./gateway-in-container.ts";
import { ask, createStage, type Stage } from "./nginx.ts";

const DOMAIN = "technicia.exemple.fr";
const MIB = 1024 * 1024;

let stage: Stage;
let gateway: string;

beforeAll(async () => {
  stage = await createStage({});
  await copyFile(new URL("slow-service.mjs", import.meta.url), join(stage.folder, "service.mjs"));
  await stage.network.start("service", [
    ...["--network-alias", "n8n", "--network-alias", "vector-store"],
    ...["--volume", `${stage.folder}:/service:ro`, await imageOf("node"), "node", "/service/service.mjs"],
  ]);
  const visitors = { ...VISITORS, requestsPerSecond: 1000, burst: 1000 };
  const files = await defineGateway({ visitors });
  await stage.write("routes/n8n.conf", files.route.content);
  gateway = await startGateway(stage, { files });
});

afterAll(() => stage.remove());

const get = async (path: string, address = gateway) => ask(address, { path, name: DOMAIN });

/** Begins a request whose body and answer the test takes in its own time. */
function begin(path: string, { address = gateway, method = "GET", bytes = 0 } = {}) {
  const length = bytes > 0 ? { "content-length": String(bytes) } : {};
  const sent = httpsRequest({
    ...{ host: address, servername: DOMAIN, path, method, agent: false, rejectUnauthorized: false },
    headers: { host: DOMAIN, ...length },
  });
  const answer = once(sent, "response") as Promise<[IncomingMessage]>;
  answer.catch(() => undefined);
  return { sent, answer };
}

describe("a body", () => {
  /** nginx's processes, and the most memory that they and their files have taken. */
  const state = async () => {
    const container = `${stage.network.name}-gateway`;
    const peak =
      "cat /sys/fs/cgroup/memory.peak 2>/dev/null || cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes";
    return {
      processes: await docker("top", container, "-eo", "pid,args"),
      peakMib: Number(await docker("exec", container, "sh", "-c", peak)) / MIB,
    };
  };

  it("of 100 MiB to a webhook that does not exist is refused, two at once, and leaves the gateway as it was", async () => {
    const before = await state();
    const body = Buffer.alloc(100 * MIB);
    const post = () => ask(gateway, { path: "/webhook/x", name: DOMAIN, method: "POST", body });

    for (const answer of await Promise.allSettled([post(), post()])) {
      // The connection may end before the whole body was sent.
      if (answer.status === "fulfilled") expect(answer.value.status).toBe(413);
    }
    expect((await get("/healthz")).status).toBe(200);
    const after = await state();
    expect(after.processes).toBe(before.processes);
    expect(after.peakMib).toBeLessThan(64);
  });

  it("of an upload passes in pieces, and none of it stays in the container", async () => {
    const bytes = 100 * MIB;
    const uploads = [1, 2].map(() => begin("/webhook/upload", { method: "POST", bytes }));
    const half = Buffer.alloc(bytes / 2);
    for (const { sent } of uploads) sent.write(half);

    await expect
      .poll(async () => Number((await get("/webhook/received")).body), { timeout: 20_000 })
      .toBeGreaterThan(0);
    for (const { sent } of uploads) sent.end(half);
    for (const { answer } of uploads) {
      const [response] = await answer;
      expect(response.statusCode).toBe(200);
      response.resume();
    }
    expect((await state()).peakMib).toBeLessThan(64);
  });
});

describe("an answer", () => {
  it("reaches the visitor also when it comes before the end of the upload that it refuses", async () => {
    const body = Buffer.alloc(20 * MIB);
    const statuses = [];
    for (let asked = 0; asked < 10; asked++) {
      statuses.push((await ask(gateway, { path: "/api/upload", name: DOMAIN, method: "PUT", body })).status);
    }

    expect(statuses).toEqual(Array(10).fill(404));
  });

  it("comes in pieces while it is being written", async () => {
    const { sent, answer } = begin("/webhook/stream");
    sent.end();
    const [response] = await answer;
    let text = "";
    response.setEncoding("utf8").on("data", (piece: string) => (text += piece));

    await expect.poll(() => text).toBe("first\n");
    await get("/webhook/release");
    await expect.poll(() => text).toBe("first\nreleased\n");
  });
});

describe("a reload", () => {
  it("lets an upload end that began before it", async () => {
    await expect.poll(() => stage.network.health("gateway"), { timeout: 20_000 }).toBe("healthy");
    const { sent, answer } = begin("/webhook/upload", { method: "POST", bytes: 2 * MIB });
    sent.write(Buffer.alloc(MIB));
    await expect.poll(async () => Number((await get("/webhook/received")).body)).toBeGreaterThan(0);

    await reloadGateway(stage);
    sent.end(Buffer.alloc(MIB));

    const [response] = await answer;
    expect(response.statusCode).toBe(200);
    expect(String(await once(response, "data"))).toBe(String(2 * MIB));
  });
});

describe("one address", () => {
  let limited: string;
  beforeAll(async () => {
    const visitors = { requestsPerSecond: 1, burst: 4, connections: 20, silentSeconds: 1 };
    limited = await startGateway(stage, { files: await defineGateway({ visitors }), role: "limited" });
  });
  beforeEach(() => get("/webhook/release"));

  it("asks n8n no more often than it may, and is told to come back", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => get("/webhook/x", limited)));
    const refused = answers.filter(({ status }) => status === 429);

    expect(refused.length).toBeGreaterThanOrEqual(13);
    expect(answers.some(({ status }) => status === 404)).toBe(true);
    for (const { headers } of refused) expect(headers).toMatchObject({ "retry-after": "1" });
  });

  it("asks for the health and for pages as often as the load check does", async () => {
    for (const [path, status] of [
      ["/healthz", 200],
      ["/", 404],
    ] as const) {
      const answers = [];
      for (let asked = 0; asked < 100; asked++) answers.push((await get(path, limited)).status);
      expect(answers).toEqual(Array(100).fill(status));
    }
  });

  it("has no more requests answered at a time than it may", async () => {
    const visitors = { requestsPerSecond: 1000, burst: 1000, connections: 20, silentSeconds: 20 };
    const crowded = await startGateway(stage, { files: await defineGateway({ visitors }), role: "crowded" });
    const held = Array.from({ length: 20 }, () => begin("/webhook/hold", { address: crowded }));
    for (const { sent } of held) sent.end();
    await expect.poll(async () => (await get("/webhook/waiting")).body).toBe("20");

    expect((await get("/webhook/x", crowded)).status).toBe(429);
    await get("/webhook/release");
    for (const { answer } of held) (await answer)[0].resume();
    await expect.poll(async () => (await get("/webhook/x", crowded)).status).toBe(404);
  });

  it.each([
    ["a header", "GET /webhook/x HTTP/1.1\r\nHost: "],
    ["a body", `POST /webhook/upload HTTP/1.1\r\nHost: ${DOMAIN}\r\nContent-Length: 1000\r\n\r\nx`],
  ])("that stops in the middle of %s is cut off", async (_what, text) => {
    const socket = connect({ host: limited, port: 443, servername: DOMAIN, rejectUnauthorized: false });
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.resume().write(text);

    await closed;
  });
});

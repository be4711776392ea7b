import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ensureAuthority, ensureCertificate } from "../../../rehearsal/authority.ts";
import { ANTHROPIC_HOST, anthropicApi } from "../../../rehearsal/fake-clouds/anthropic/server.ts";
import { VOYAGE_HOST, voyageApi } from "../../../rehearsal/fake-clouds/voyage/server.ts";
import { startWebhooks, type Webhooks } from "../../../rehearsal/fake-clouds/webhooks.ts";

const SLACK = "/services/T0/B0/x";

let webhooks: Webhooks;

beforeEach(async () => {
  webhooks = await startWebhooks();
});
afterEach(() => webhooks.close());

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(`${webhooks.url}${path}`, { method: "POST", body: JSON.stringify(body) });

describe("the services that take webhooks", () => {
  it("answer as Slack does, and list what arrived under which address", async () => {
    const answer = await post(SLACK, { text: "P1 n8n" });
    await post("/alertes/y", { status: "firing" });

    expect([answer.status, answer.headers.get("content-type"), await answer.text()]).toEqual([
      200,
      "text/plain",
      "ok",
    ]);
    expect(webhooks.calls.list("webhooks").map(({ path, body, status }) => [path, body, status])).toEqual([
      [SLACK, { text: "P1 n8n" }, 200],
      ["/alertes/y", { status: "firing" }, 200],
    ]);
  });

  it("take an event of PagerDuty as it does, and refuse one without what it asks for", async () => {
    const event = {
      ...{ routing_key: "0123456789abcdef0123456789abcdef", event_action: "trigger", dedup_key: "n8n" },
      payload: { summary: "P1 n8n", source: "TechnicIA", severity: "critical" },
    };
    const taken = await post("/v2/enqueue", event);

    expect([taken.status, await taken.json()]).toEqual([
      202,
      { status: "success", message: "Event processed", dedup_key: "n8n" },
    ]);
    for (const wrong of [{ routing_key: "short" }, { event_action: "fire" }, { payload: { summary: "x" } }]) {
      const refused = await post("/v2/enqueue", { ...event, ...wrong });
      expect([refused.status, await refused.json()]).toMatchObject([400, { status: "invalid event" }]);
    }
  });

  it("ask one sender to wait, as often as they are told, and take the others' calls", async () => {
    const headers = { "retry-after": "7" };
    webhooks.faults.add({ api: "webhooks", path: "^/services/", times: 2, status: 429, headers });
    const refused = await post(SLACK, {});

    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "7"]);
    expect((await post("/alertes/y", {})).status).toBe(200);
    expect((await post(SLACK, {})).status).toBe(429);
    expect((await post(SLACK, {})).status).toBe(200);
    expect(webhooks.calls.list().map(({ status }) => status)).toEqual([429, 200, 429, 200]);
  });

  it("fail until the fault is cleared", async () => {
    webhooks.faults.add({ api: "webhooks", path: "^/alertes/", times: 0, status: 500 });
    expect([(await post("/alertes/y", {})).status, (await post("/alertes/y", {})).status]).toEqual([
      500, 500,
    ]);

    webhooks.faults.clear();

    expect((await post("/alertes/y", {})).status).toBe(200);
  });

  it("hold an answer back for longer than a sender waits", async () => {
    webhooks.faults.add({ api: "webhooks", path: "^/services/", delayMs: 3_600_000 });

    const waiting = fetch(`${webhooks.url}${SLACK}`, { method: "POST", signal: AbortSignal.timeout(50) });

    await expect(waiting).rejects.toThrow(/timeout/);
  });
});

describe("the port of the services that take webhooks", () => {
  const statusAt = (url: string, host: string, path: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      http
        .get(`${url}${path}`, { headers: { host } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
        .once("error", reject);
    });

  it("has APIs of other host names, each with calls and faults of its own", async () => {
    const byHost = { [VOYAGE_HOST]: voyageApi({ keys: [] }), [ANTHROPIC_HOST]: anthropicApi({ keys: [] }) };
    const shared = await startWebhooks({ byHost });
    shared.faults.add({ api: "anthropic", path: "^/models$", status: 529 });
    try {
      expect(await statusAt(shared.url, `${VOYAGE_HOST}:443`, "/v1/none")).toBe(404);
      expect(await statusAt(shared.url, ANTHROPIC_HOST, "/v1/models")).toBe(529);
      expect(await statusAt(shared.url, ANTHROPIC_HOST, "/v1/models")).toBe(401);
      expect(await statusAt(shared.url, "hooks.slack.com", "/v1/models")).toBe(200);
      expect(shared.calls.list().map(({ api, path }) => [api, path])).toEqual([
        ["voyage", "/none"],
        ["anthropic", "/models"],
        ["anthropic", "/models"],
        ["webhooks", "/v1/models"],
      ]);
    } finally {
      await shared.close();
    }
  });
});

describe("the services that take webhooks, with TLS", () => {
  let folder: string;
  let secure: Webhooks;
  let authority: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "technicia-webhooks-"));
    authority = await ensureAuthority(folder);
    const issued = await ensureCertificate(folder, { name: "webhooks", names: ["hooks.slack.com"] });
    const tls = {
      cert: await readFile(issued.certificate, "utf8"),
      key: await readFile(issued.key, "utf8"),
    };
    secure = await startWebhooks({ tls });
  });
  afterEach(async () => {
    await secure.close();
    await rm(folder, { recursive: true });
  });

  const postAs = (servername: string, ca?: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      https
        .request(secure.url, { method: "POST", servername, ...(ca !== undefined && { ca }), agent: false })
        .once("response", (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
        .once("error", reject)
        .end("{}");
    });

  it("are known by the rehearsal's authority under their own names, and to nobody else", async () => {
    const ca = await readFile(authority, "utf8");

    expect(await postAs("hooks.slack.com", ca)).toBe(200);
    await expect(postAs("hooks.slack.com")).rejects.toThrow(/unable to verify|self-signed/);
    await expect(postAs("elsewhere.example", ca)).rejects.toThrow(/does not match certificate/);
  });
});

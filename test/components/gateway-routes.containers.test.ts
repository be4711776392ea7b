import { join, relative } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { imageOf } from "../support/containers.ts";
import { defineGateway, reloadGateway, startGateway } from "./gateway-in-container.ts";
import { ask, createStage, type Question, type Stage } from "./nginx.ts";

const DOMAIN = "technicia.exemple.fr";
const EDITOR = "n8n.technicia.exemple.fr";
const LIMIT = 2 * 1024 * 1024;

let stage: Stage;
let gateway: string;
let files: Awaited<ReturnType<typeof defineGateway>>;

const define = (editorCidr: string) =>
  defineGateway({
    editorDomain: EDITOR,
    editorCidrs: [editorCidr],
    uploadMaxMib: 2,
    hsts: true,
    frontend: true,
  });

const get = (path: string, change: Partial<Question> = {}) => ask(gateway, { path, name: DOMAIN, ...change });

beforeAll(async () => {
  stage = await createStage({ store: ["vector-store"], others: ["n8n", "frontend"] });
  files = await define(stage.network.subnet);
  gateway = await startGateway(stage, { files });
});

afterAll(() => stage.remove());

describe("the gateway before n8n has an owner", () => {
  const onN8n = ["/healthz", "/api/upload", "/api/question", "/webhook/upload", "/webhook/x", "/"];

  it.each(onN8n)("answers 503 with Retry-After at %s", async (path) => {
    expect(await get(path)).toMatchObject({
      status: 503,
      headers: { "retry-after": "15" },
      body: '{"status":"unavailable"}',
    });
  });

  it("keeps the editor closed, even to an address of the list", async () => {
    expect((await get("/rest/owner/setup", { name: EDITOR })).status).toBe(503);
  });

  it("routes to n8n once the route exists and nginx has reloaded", async () => {
    await expect.poll(() => stage.network.health("gateway"), { timeout: 20_000 }).toBe("healthy");
    await stage.write(relative("/opt/technicia/gateway", files.route.path), files.route.content);
    await reloadGateway(stage);

    const answers = [];
    for (let asked = 0; asked < 40; asked++) answers.push((await get("/healthz")).status);
    expect(answers).toEqual(Array(40).fill(200));
  });
});

describe("the check of the gateway's configuration", () => {
  const judge = async (text: string) => {
    await stage.write("nginx.conf.new", text);
    const command = files.configuration.validate
      .replace("/opt/technicia/gateway:", `${stage.folder}:`)
      .replace("'nginx'", await imageOf("nginx"));
    return tryRun(["bash", "-euo", "pipefail", "-c", command], {
      environment: { FILE: join(stage.folder, "nginx.conf.new") },
    });
  };

  it("accepts the rendered configuration", async () => {
    expect(await judge(files.configuration.content)).toMatchObject({ code: 0 });
  });

  it("accepts one whose names are as long as a name may be", async () => {
    const domain = `${["a", "b", "c"].map((letter) => letter.repeat(61)).join(".")}.maintenance.exemple.fr`;
    const { configuration } = await defineGateway({
      domain,
      editorDomain: `n8n.${domain}`,
      editorCidrs: ["198.51.100.0/24"],
      hsts: true,
    });

    expect(domain.length).toBeGreaterThan(200);
    expect(await judge(configuration.content)).toMatchObject({ code: 0 });
  });

  it("fails when nginx cannot read the configuration", async () => {
    const broken = files.configuration.content.replace("server_tokens off;", "server_tokens perhaps;");

    const { code, stderr } = await judge(broken);

    expect(code).not.toBe(0);
    expect(stderr).toContain('invalid value "perhaps"');
  });
});

describe("the public routes", () => {
  it.each([
    ["/api/upload", "5678 POST /webhook/upload"],
    ["/api/upload?part=2", "5678 POST /webhook/upload?part=2"],
    ["/api/question", "5678 POST /webhook/question"],
    ["/api/start-diagnosis", "5678 POST /webhook/start-diagnosis"],
    ["/api/diagnosis-step", "5678 POST /webhook/diagnosis-step"],
    ["/webhook/anything?x=1", "5678 POST /webhook/anything?x=1"],
  ])("%s is routed to %s", async (path, answer) => {
    expect(await get(path, { method: "POST" })).toMatchObject({ status: 200, body: answer });
  });

  it("/healthz answers for the services behind it", async () => {
    expect(await get("/healthz")).toMatchObject({ status: 200, body: "5678 GET /healthz/readiness" });
  });

  it.each([
    "/api/",
    "/api/rest/login",
    "/api/v1/workflows",
    "/api/upload/",
    "/api/question/more",
    "/api/../api/rest/login",
    "/internal/vector-store-ready",
  ])("%s is closed", async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  it.each([
    "/rest/settings",
    "/rest/owner/setup",
    "/metrics",
    "/webhook-test/upload",
    "/webhook",
    "/collections/technicia",
    "/webhook/..%2frest/settings",
    "/webhook/%2e%2e/rest/settings",
    "//rest/settings",
  ])("%s reaches the frontend at most, never n8n", async (path) => {
    const { body } = await get(path);

    expect(body).not.toMatch(/^(5678|8000) /);
  });

  it("passes the visitor's address, the name and the scheme on, whatever the visitor sends", async () => {
    const { body } = await get("/webhook/headers", {
      headers: { "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http", "x-forwarded-host": "evil" },
    });

    expect(body).toMatch(new RegExp(`^${DOMAIN}\\|${DOMAIN}\\|https\\|[0-9.]+\\|$`));
    expect(body).not.toContain("192.0.2.1");
  });

  it("presents the certificate of its name and sends HSTS", async () => {
    const { names, headers } = await get("/");

    expect(names).toBe(`DNS:${DOMAIN}`);
    expect(headers).toMatchObject({
      "strict-transport-security": "max-age=31536000",
      "x-content-type-options": "nosniff",
      "x-frame-options": "SAMEORIGIN",
      "referrer-policy": "strict-origin-when-cross-origin",
    });
    expect(headers["server"]).toBe("nginx");
  });

  it("sends HSTS only over HTTPS", async () => {
    // A browser ignores the name in a plain request's address; the gateway answers any with its own.
    const response = await fetch(`http://${gateway}/`, { redirect: "manual" });

    expect(response.status).toBe(308);
    expect(response.headers.has("x-content-type-options")).toBe(true);
    expect(response.headers.has("strict-transport-security")).toBe(false);
  });

  it("leads a POST over HTTP to HTTPS as a POST", async () => {
    const body = "x".repeat(100_000);
    const response = await fetch(`http://${gateway}/api/question?a=%20b`, {
      method: "POST",
      body,
      redirect: "manual",
    });

    expect(response.status).toBe(308);
    expect(response.headers.get("location")).toBe(`https://${DOMAIN}/api/question?a=%20b`);
  });

  it("presents no certificate under a name that is not its own", async () => {
    await expect(get("/", { name: "other.exemple.fr" })).rejects.toThrow(/unrecognized name/);
  });

  it("refuses a name that is not its own to whoever named it first", async () => {
    expect((await get("/", { headers: { host: "other.exemple.fr" } })).status).toBe(421);
  });
});

describe("the webhooks of our own commands", () => {
  it.each(["/webhook/reindex", "/webhook/%72eindex", "/webhook/reindex/", "/api/reindex"])(
    "are not public: %s",
    async (path) => {
      expect((await get(path, { method: "POST" })).status).toBe(404);
    },
  );
});

describe("the size of an upload", () => {
  const upload = (path: string, bytes: number) =>
    get(path, { method: "POST", headers: { "content-length": String(bytes) } });

  it.each(["/api/upload", "/webhook/upload"])("may reach the limit at %s", async (path) => {
    const body = Buffer.alloc(LIMIT);

    expect((await get(path, { method: "POST", body })).status).toBe(200);
  });

  it.each(["/api/upload", "/webhook/upload"])("is refused above the limit at %s", async (path) => {
    const { status, headers, body } = await upload(path, LIMIT + 1);

    expect([status, headers["content-type"]]).toEqual([413, "application/json"]);
    expect(JSON.parse(body)).toEqual({
      success: false,
      errors: [expect.stringMatching(/^Le fichier dépasse \d+ Mio\.$/)],
    });
  });

  it("is one MiB at most for a question", async () => {
    for (const path of ["/api/question", "/webhook/question"]) {
      const { status, body } = await upload(path, LIMIT);

      expect(status).toBe(413);
      expect(JSON.parse(body)).toEqual({ success: false, errors: ["La requête dépasse 1 Mio."] });
    }
  });
});

describe("the editor", () => {
  it("is open to an address of the list, except for the metrics", async () => {
    expect((await get("/rest/settings", { name: EDITOR })).body).toBe("5678 GET /rest/settings");
    for (const path of ["/metrics", "/METRICS", "/metrics/", "/%6detrics", "//metrics", "/x/..%2fmetrics"]) {
      expect((await get(path, { name: EDITOR })).status, path).toBe(404);
    }
  });

  it("is closed to any other address", async () => {
    const closed = await startGateway(stage, { files: await define("192.0.2.0/24"), role: "closed" });

    expect((await ask(closed, { path: "/rest/settings", name: EDITOR })).status).toBe(403);
    expect((await ask(closed, { path: "/webhook/x", name: DOMAIN })).status).toBe(200);
  });
});

describe("a 503 of a service's own", () => {
  it("passes unchanged where it is n8n's, and is the page where it is the frontend's", async () => {
    const accept = { headers: { accept: "text/html" } };

    expect(await get("/webhook/refused", accept)).toMatchObject({ status: 503, body: '{"own":true}' });
    expect((await get("/refused", accept)).body).toContain("TechnicIA est momentanément indisponible");
  });
});

describe("the gateway without the vector-store", () => {
  beforeAll(() => stage.network.stop("store"));

  it("is unhealthy, and still routes to n8n", async () => {
    expect(await get("/healthz")).toMatchObject({ status: 503, headers: { "retry-after": "15" } });
    expect((await get("/api/question")).status).toBe(200);
  });
});

describe("the gateway without any service behind it", () => {
  beforeAll(() => stage.network.stop("others"));

  it.each(["/healthz", "/api/upload", "/api/question", "/webhook/upload", "/"])(
    "answers 503 and when to come back at %s",
    async (path) => {
      expect(await get(path)).toMatchObject({
        status: 503,
        headers: { "retry-after": "15", "content-type": "application/json" },
        body: '{"status":"unavailable"}',
      });
    },
  );

  const inBrowser = { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } };

  it.each(["/", "/style.css"])("shows a browser the page with the request's id at %s", async (path) => {
    const { status, headers, body } = await get(path, inBrowser);

    expect({ status, type: headers["content-type"], after: headers["retry-after"] }).toEqual({
      ...{ status: 503, type: "text/html; charset=utf-8", after: "15" },
    });
    expect(body).toContain("TechnicIA est momentanément indisponible");
    expect(body).toContain(`<code>${String(headers["x-request-id"])}</code>`);
  });

  it.each(["/healthz", "/api/question", "/webhook/x"])("never shows the page at %s", async (path) => {
    expect(await get(path, inBrowser)).toMatchObject({ status: 503, body: '{"status":"unavailable"}' });
  });

  it("shows the page in the editor, and answers its own requests with JSON", async () => {
    const page = await get("/home/workflows", { name: EDITOR, ...inBrowser });

    expect(page).toMatchObject({ status: 503, headers: { "content-type": "text/html; charset=utf-8" } });
    expect((await get("/rest/login", { name: EDITOR, ...inBrowser })).body).toBe('{"status":"unavailable"}');
  });
});

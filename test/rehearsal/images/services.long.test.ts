import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { docker } from "../../../rehearsal/docker.ts";
import { Bench, call, type Container, published } from "./container.ts";
import { until } from "../../support/until.ts";

const LOOPBACK = ["--publish", "127.0.0.1::8000"];
const NEEDLE = "procédure de purge du circuit hydraulique";

const bench = new Bench();
let network: string;
let qdrant: Container;
let url: string;

async function startVectorStore(name: string, ...args: readonly string[]): Promise<Container> {
  const key = ["--env", "QDRANT_API_KEY=sesame"];
  return bench.start(await published(name), ["--network", network, ...key, ...LOOPBACK, ...args]);
}

beforeAll(async () => {
  network = await bench.network();
  const key = ["--env", "QDRANT__SERVICE__API_KEY=sesame"];
  const names = ["--network", network, "--network-alias", "qdrant"];
  const store = await startVectorStore("technicia/vector-store:1.0.0");
  qdrant = await bench.start(await published("qdrant/qdrant:v1.19.0-unprivileged"), [...names, ...key]);
  // Started before its Qdrant, it waits instead of ending.
  url = await store.ready(8000, "/health");
});

afterAll(() => bench.remove());

describe("the vector-store image", () => {
  it("reports in its health that the collection exists and the key of VoyageAI is missing", async () => {
    expect(await call("GET", `${url}/health`)).toEqual({
      status: 200,
      body: {
        status: "healthy",
        qdrant_connected: true,
        collection_exists: true,
        voyage_api_configured: false,
      },
    });
  });

  it("finds a stored text first and with its metadata", async () => {
    const stored = await call("POST", `${url}/embed-text`, { text: NEEDLE, metadata: { page_number: 7 } });
    await call("POST", `${url}/embed-text`, { text: "tableau des couples de serrage", metadata: null });
    const { body } = await call("POST", `${url}/search`, { query: NEEDLE, limit: 2 });

    expect(stored).toMatchObject({ status: 200, body: { status: "success", vector_length: 1024 } });
    expect(body).toMatchObject({ query: NEEDLE, count: 2 });
    const [first] = (body as { results: { id: string; score: number; metadata: unknown }[] }).results;
    expect(first?.id).toBe((stored.body as { id: string }).id);
    expect(first?.score).toBeCloseTo(1, 5);
    expect(first?.metadata).toEqual({ page_number: 7, text: NEEDLE, type: "text" });
  });

  it("searches within Qdrant's filters and takes an empty one for none", async () => {
    await call("POST", `${url}/embed-image`, {
      image_url: "https://example.org/schema.png",
      metadata: { page_number: 1 },
    });
    const filter = { must: [{ key: "type", match: { value: "image" } }] };
    const filtered = await call("POST", `${url}/search`, { query: "schema", filter });
    const unfiltered = await call("POST", `${url}/search`, { query: "schema", filter: {} });

    const types = (answer: unknown) => (answer as { results: { metadata: { type: string } }[] }).results;
    expect(types(filtered.body).map(({ metadata }) => metadata.type)).toEqual(["image"]);
    expect(types(unfiltered.body).length).toBeGreaterThan(1);
  });

  it("stores given vectors, one or many", async () => {
    const point = (at: number) => ({
      id: `00000000-0000-4000-8000-00000000000${at}`,
      vector: Array(1024).fill(at),
      metadata: {},
    });

    expect(await call("POST", `${url}/upsert`, point(1))).toMatchObject({
      status: 200,
      body: { id: point(1).id },
    });
    expect(await call("POST", `${url}/upsert-batch`, [point(2), point(3)])).toMatchObject({
      body: { count: 2 },
    });
    expect(await call("POST", `${url}/upsert-batch`, [])).toMatchObject({ status: 200, body: { count: 0 } });
  });

  it.each([
    ["a missing field", "/embed-text", { metadata: {} }, 422],
    ["a number as id", "/upsert", { id: 1, vector: [], metadata: {} }, 422],
    ["metadata that is null", "/upsert", { id: "x", vector: [], metadata: null }, 422],
    ["an id that is no UUID", "/upsert", { id: "x", vector: Array(1024).fill(1), metadata: {} }, 500],
    [
      "a vector of another size",
      "/upsert",
      { id: "00000000-0000-4000-8000-000000000009", vector: [1], metadata: {} },
      500,
    ],
    ["an unknown filter key", "/search", { query: "x", filter: { type: "text" } }, 500],
  ])("fails on %s as the contract says", async (_, path, body, status) => {
    const answer = await call("POST", `${url}${path}`, body);

    expect(answer.status).toBe(status);
    expect(answer.body).toHaveProperty("detail");
  });

  it("answers unknown paths, wrong verbs and malformed JSON as FastAPI does", async () => {
    const malformed = await fetch(`${url}/search`, {
      method: "POST",
      body: "{",
      headers: { "content-type": "application/json" },
    });

    expect(await call("GET", `${url}/`)).toEqual({ status: 404, body: { detail: "Not Found" } });
    expect(await call("GET", `${url}/search`)).toEqual({
      status: 405,
      body: { detail: "Method Not Allowed" },
    });
    expect(malformed.status).toBe(422);
    expect(await malformed.json()).toMatchObject({ detail: [{ type: "json_invalid" }] });
  });

  it("returns its version in its API's description only", async () => {
    const next = await startVectorStore("technicia/vector-store:1.0.1");
    const address = await next.ready(8000, "/health");
    const versionAt = async (base: string) =>
      ((await call("GET", `${base}/openapi.json`)).body as { info: { version: string } }).info.version;

    expect([await versionAt(url), await versionAt(address)]).toEqual(["1.0.0", "1.0.1"]);
  });

  it("answers 500 on its health in the unhealthy release", async () => {
    const sick = await startVectorStore("technicia/vector-store:1.0.2-sick");
    const address = await sick.ready(8000, "/openapi.json");

    expect(await call("GET", `${address}/health`)).toMatchObject({ status: 500, body: { status: "error" } });
  });

  it("answers 500 on every call but its health in the faulty release", async () => {
    const faulty = await startVectorStore("technicia/vector-store:1.0.3-faulty");
    const address = await faulty.ready(8000, "/health");

    expect(await call("GET", `${address}/health`)).toMatchObject({ status: 200 });
    expect(await call("POST", `${address}/search`, { query: "x" })).toMatchObject({ status: 500 });
    expect(await call("POST", `${address}/embed-text`, { text: "x" })).toMatchObject({ status: 500 });
  });

  it("asks VoyageAI when it has a key, and turns its refusal into 500", async () => {
    const voyage = [
      "--env",
      "VOYAGE_API_KEY=pa-refused",
      "--env",
      "VOYAGE_URL=http://qdrant:6333/embeddings",
    ];
    const keyed = await startVectorStore("technicia/vector-store:1.0.0", ...voyage);
    const address = await keyed.ready(8000, "/health");

    expect((await call("GET", `${address}/health`)).body).toMatchObject({ voyage_api_configured: true });
    expect(await call("POST", `${address}/embed-text`, { text: "x" })).toMatchObject({ status: 500 });
  });

  it("answers 500 on its health while Qdrant is away, and 200 when it is back", async () => {
    await docker(["stop", qdrant.name]);
    const away = await call("GET", `${url}/health`);
    await docker(["start", qdrant.name]);
    const back = await until("Qdrant is connected", async () => {
      const answer = await call("GET", `${url}/health`);
      return answer.status === 200 ? answer : undefined;
    });

    expect(away).toMatchObject({ status: 500, body: { status: "error" } });
    expect(back.body).toMatchObject({ qdrant_connected: true });
  });
});

describe("the document-processor image", () => {
  it("is healthy without Google, says so, and refuses what is no PDF", async () => {
    const processor = await bench.start(await published("technicia/document-processor:1.0.0"), LOOPBACK);
    const address = await processor.ready(8000, "/health");
    const upload = async (path: string, field: string, name: string) => {
      const form = new FormData();
      form.append(field, new Blob(["%PDF-1.4"]), name);
      return (await fetch(`${address}${path}`, { method: "POST", body: form })).status;
    };

    expect((await call("GET", `${address}/health`)).body).toEqual({
      status: "healthy",
      google_cloud_configured: false,
      temp_dir: "/tmp/technicia",
      active_tasks: 0,
    });
    expect(await upload("/process", "file", "notes.txt")).toBe(400);
    expect(await upload("/process", "other", "manuel.PDF")).toBe(422);
    expect(await upload("/process-file", "other", "manuel.PDF")).toBe(400);
    expect(await upload("/process", "file", "manuel.PDF")).toBe(500);
    const absent = { documentId: "1", filePath: "/tmp/none.pdf" };
    expect((await call("POST", `${address}/api/process`, absent)).status).toBe(404);
    expect((await call("POST", `${address}/api/process`, { ...absent, filePath: "/tmp" })).status).toBe(400);
    expect((await call("POST", `${address}/api/process`, {})).status).toBe(422);
    expect((await call("POST", `${address}/task/1`)).status).toBe(404);
  });
});

describe("the vision-classifier image", () => {
  it("ends with 1 without readable credentials", async () => {
    const credentials = ["--env", "GOOGLE_APPLICATION_CREDENTIALS=/none.json"];
    const classifier = await bench.start(await published("technicia/vision-classifier:1.0.0"), credentials);

    expect(await classifier.end()).toBe(1);
  });

  it("starts with credentials and refuses what is no image", async () => {
    const start = 'echo "{}" > /tmp/google.json && exec uvicorn main:app --host 0.0.0.0 --port 8000';
    const args = [...LOOPBACK, "--env", "GOOGLE_APPLICATION_CREDENTIALS=/tmp/google.json"];
    const image = await published("technicia/vision-classifier:1.0.0");
    const classifier = await bench.start(image, args, ["sh", "-c", start]);
    const address = await classifier.ready(8000, "/health");
    const upload = async (type: string) => {
      const form = new FormData();
      form.append("file", new Blob(["x"], { type }), "x");
      return (await fetch(`${address}/classify`, { method: "POST", body: form })).status;
    };

    expect((await call("GET", `${address}/health`)).body).toEqual({
      status: "healthy",
      google_vision_initialized: true,
    });
    expect([await upload("text/plain"), await upload("image/png")]).toEqual([400, 500]);
    const encoded = async (body: object) => (await call("POST", `${address}/classify-base64`, body)).status;
    expect(await encoded({})).toBe(400);
    expect(await encoded({ image: "***" })).toBe(400);
    expect(await encoded({ image: 1 })).toBe(422);
    expect(await encoded({ image: "data:image/png;base64,eA==" })).toBe(500);
  });
});

describe("the frontend image", () => {
  it("serves the French page on port 80, for every path of the application", async () => {
    const args = ["--publish", "127.0.0.1::80"];
    const frontend = await bench.start(await published("technicia/frontend:1.0.0"), args);
    const address = await frontend.ready(80, "/");
    const deep = await fetch(`${address}/diagnostic/42`);

    expect(deep.status).toBe(200);
    expect(deep.headers.get("content-type")).toContain("text/html");
    expect(await deep.text()).toMatch(/<html lang="fr">[\s\S]*<title>TechnicIA<\/title>/);
  });
});

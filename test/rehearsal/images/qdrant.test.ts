import { beforeEach, afterEach, describe, expect, it } from "vitest";

import { docker } from "../../../rehearsal/docker.ts";
import { Bench, call, type Container, published } from "./container.ts";

const KEY = "key-of-this-test";
const READ_KEY = "another-key";
const MARKER = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26";

const bench = new Bench();
let storage: string;
let qdrant: Container;
let url: string;

/** Calls Qdrant with the key that may do everything. */
async function ask(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; result: unknown }> {
  const answer = await call(method, `${url}${path}`, body, { "api-key": KEY });
  return { status: answer.status, result: (answer.body as { result?: unknown }).result };
}

async function startQdrant(image: string): Promise<void> {
  const keys = [
    "--env",
    `QDRANT__SERVICE__API_KEY=${KEY}`,
    "--env",
    `QDRANT__SERVICE__READ_ONLY_API_KEY=${READ_KEY}`,
  ];
  const hardened = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/qdrant/snapshots:uid=1000"];
  const args = [
    ...keys,
    ...hardened,
    "--volume",
    `${storage}:/qdrant/storage`,
    "--publish",
    "127.0.0.1::6333",
  ];
  qdrant = await bench.start(image, args, ["./qdrant"]);
  url = await qdrant.ready(6333, "/readyz");
}

async function fill(): Promise<void> {
  await ask("PUT", "/collections/technicia", { vectors: { size: 4, distance: "Cosine" } });
  for (const [field, schema] of [
    ["type", "keyword"],
    ["page_number", "integer"],
  ]) {
    await ask("PUT", "/collections/technicia/index?wait=true", { field_name: field, field_schema: schema });
  }
  await ask("PUT", "/collections/technicia/points?wait=true", {
    points: [
      { id: 1, vector: [1, 0, 0, 0], payload: { type: "text", page_number: 3 } },
      { id: 2, vector: [0.9, 0.1, 0, 0], payload: { type: "image", page_number: 9 } },
      { id: MARKER, vector: [0, 1, 0, 0], payload: { type: "text", page_number: 12 } },
    ],
  });
}

async function idsFound(filter: unknown): Promise<unknown[]> {
  const body = { vector: [1, 0, 0, 0], limit: 10, filter };
  const { result } = await ask("POST", "/collections/technicia/points/search", body);
  return (result as { id: unknown }[]).map(({ id }) => id);
}

beforeEach(async () => {
  storage = await bench.volume();
  await startQdrant(await published("qdrant/qdrant:v1.19.0-unprivileged"));
});

afterEach(() => bench.remove());

describe("the qdrant image", () => {
  it("runs as uid 1000 with bash and without curl, and answers bash's probe", async () => {
    const probe =
      "exec 3<>/dev/tcp/127.0.0.1/6333; printf 'GET /readyz HTTP/1.0\\r\\nHost: l\\r\\n\\r\\n' >&3; grep -q ' 200 ' <&3";

    expect((await qdrant.exec(["id", "-u"])).trim()).toBe("1000");
    await expect(qdrant.shell("command -v curl || command -v wget")).rejects.toThrow("exit code 127");
    await expect(qdrant.exec(["bash", "-c", probe])).resolves.toBe("");
  });

  it("lets nobody in without a key but to its version and health", async () => {
    const statusOf = async (path: string, headers = {}) =>
      (await call("GET", `${url}${path}`, undefined, headers)).status;

    for (const open of ["/", "/healthz", "/livez", "/readyz"])
      expect([open, await statusOf(open)]).toEqual([open, 200]);
    for (const closed of ["/collections", "/metrics", "/healthz/x"]) {
      expect([closed, await statusOf(closed)]).toEqual([closed, 401]);
    }
    expect(await statusOf("/collections", { "api-key": "wrong" })).toBe(401);
    expect(await statusOf("/collections", { authorization: `Bearer ${KEY}` })).toBe(200);
  });

  it("lets the read-only key read and refuses it to write", async () => {
    const headers = { "api-key": READ_KEY };

    expect((await call("GET", `${url}/metrics`, undefined, headers)).body).toContain('version="1.19.0"');
    expect(await call("DELETE", `${url}/collections/technicia`, undefined, headers)).toMatchObject({
      status: 403,
      body: { status: { error: "Forbidden: Global manage access is required" } },
    });
  });

  it("reads its key from the configuration file of its run mode", async () => {
    const image = await published("qdrant/qdrant:v1.19.0-unprivileged");
    const write = 'echo "service: { api_key: from-the-file }" > config/production.yaml && exec ./qdrant';
    const other = await bench.start(
      image,
      ["--user", "0", "--publish", "127.0.0.1::6333"],
      ["sh", "-c", write],
    );
    const address = await other.ready(6333, "/readyz");

    expect((await call("GET", `${address}/collections`)).status).toBe(401);
    expect(
      (await call("GET", `${address}/collections`, undefined, { "api-key": "from-the-file" })).status,
    ).toBe(200);
  });

  it("describes a collection with its size, distance and indexes, and refuses a second of its name", async () => {
    await fill();

    expect((await ask("GET", "/collections/technicia")).result).toMatchObject({
      status: "green",
      points_count: 3,
      config: { params: { vectors: { size: 4, distance: "Cosine" } } },
      payload_schema: { type: { data_type: "keyword", points: 3 }, page_number: { data_type: "integer" } },
    });
    expect(
      (await ask("PUT", "/collections/technicia", { vectors: { size: 4, distance: "Cosine" } })).status,
    ).toBe(409);
    await ask("DELETE", "/collections/technicia/index/type");
    const { result } = await ask("GET", "/collections/technicia");
    expect(Object.keys((result as { payload_schema: object }).payload_schema)).toEqual(["page_number"]);
  });

  it("searches by nearness within a filter", async () => {
    await fill();
    const page = (range: object) => ({ key: "page_number", range });

    expect(await idsFound(undefined)).toEqual([1, 2, MARKER]);
    expect(await idsFound({ must: [{ key: "type", match: { value: "text" } }] })).toEqual([1, MARKER]);
    expect(await idsFound({ must_not: [{ key: "type", match: { value: "text" } }] })).toEqual([2]);
    expect(await idsFound({ should: [page({ lt: 4 }), page({ gte: 12 })] })).toEqual([1, MARKER]);
    expect(await idsFound({ must: [{ has_id: [MARKER] }] })).toEqual([MARKER]);
    const query = { query: [0, 1, 0, 0], limit: 1, with_payload: true };
    expect((await ask("POST", "/collections/technicia/points/query", query)).result).toMatchObject({
      points: [{ id: MARKER, score: 1, payload: { page_number: 12 } }],
    });
  });

  it.each([
    [
      "an unknown filter key",
      "POST",
      "/points/search",
      { vector: [1, 0, 0, 0], filter: { type: "text" } },
      "unknown field `type`",
    ],
    ["a vector of another size", "POST", "/points/search", { vector: [1] }, "expected dim: 4, got 1"],
    [
      "a point of another size",
      "PUT",
      "/points",
      { points: [{ id: 1, vector: [1] }] },
      "expected dim: 4, got 1",
    ],
    [
      "an id that is no UUID",
      "PUT",
      "/points",
      { points: [{ id: "x", vector: [1, 0, 0, 0] }] },
      "x is not a valid point ID",
    ],
    ["a missing field", "PUT", "/points", {}, "missing field `points`"],
  ])("fails with 400 on %s", async (_, method, path, body, told) => {
    await fill();
    const answer = await call(method, `${url}/collections/technicia${path}`, body, { "api-key": KEY });

    expect(answer.status).toBe(400);
    expect((answer.body as { status: { error: string } }).status.error).toContain(told);
  });

  it("fails with 404 on an unknown collection", async () => {
    expect(await call("GET", `${url}/collections/none`, undefined, { "api-key": KEY })).toMatchObject({
      status: 404,
      body: { status: { error: "Not found: Collection `none` doesn't exist!" } },
    });
  });

  it("counts, pages through, gets and deletes points", async () => {
    await fill();
    const count = async () => (await ask("POST", "/collections/technicia/points/count", {})).result;
    const first = (await ask("POST", "/collections/technicia/points/scroll", { limit: 2 })).result as {
      next_page_offset: string;
    };
    const offset = first.next_page_offset;

    expect(await count()).toEqual({ count: 3 });
    expect(
      (await ask("POST", "/collections/technicia/points/scroll", { limit: 2, offset })).result,
    ).toMatchObject({
      points: [{ id: MARKER }],
      next_page_offset: null,
    });
    expect((await ask("GET", "/collections/technicia/points/2")).result).toMatchObject({
      payload: { type: "image" },
    });
    await ask("POST", "/collections/technicia/points/delete?wait=true", { points: [MARKER] });
    const chosen = { filter: { must: [{ key: "type", match: { value: "image" } }] } };
    await ask("POST", "/collections/technicia/points/delete?wait=true", chosen);
    expect(await count()).toEqual({ count: 1 });
    expect((await ask("GET", `/collections/technicia/points/${MARKER}`)).status).toBe(404);
  });

  it("restores a collection from its snapshot, on another instance too", async () => {
    await fill();
    const { name } = (await ask("POST", "/collections/technicia/snapshots?wait=true")).result as {
      name: string;
    };
    const download = await fetch(`${url}/collections/technicia/snapshots/${name}`, {
      headers: { "api-key": KEY },
    });
    const snapshot = await download.blob();
    storage = await bench.volume();
    await startQdrant(await published("qdrant/qdrant:v1.19.0-unprivileged"));
    const form = new FormData();
    form.append("snapshot", snapshot, name);
    const upload = `${url}/collections/technicia/snapshots/upload?priority=snapshot`;
    const restored = await fetch(upload, { method: "POST", body: form, headers: { "api-key": KEY } });

    expect(restored.status).toBe(200);
    expect(await idsFound({ must: [{ key: "type", match: { value: "text" } }] })).toEqual([1, MARKER]);
    const { result } = await ask("GET", "/collections/technicia");
    expect(Object.keys((result as { payload_schema: object }).payload_schema)).toEqual([
      "type",
      "page_number",
    ]);
    expect(snapshot.size).toBeLessThan(2_000_000);
  });

  it("lists a snapshot until it is deleted", async () => {
    await fill();
    const { name } = (await ask("POST", "/collections/technicia/snapshots")).result as { name: string };

    expect((await ask("GET", "/collections/technicia/snapshots")).result).toMatchObject([{ name }]);
    await ask("DELETE", `/collections/technicia/snapshots/${name}`);
    expect((await ask("GET", "/collections/technicia/snapshots")).result).toEqual([]);
  });

  it("fails with 400 on a snapshot that is none, and keeps the collection", async () => {
    await fill();
    const form = new FormData();
    form.append("snapshot", new Blob(["no archive"]), "x.snapshot");
    const upload = `${url}/collections/technicia/snapshots/upload`;
    const refused = await fetch(upload, { method: "POST", body: form, headers: { "api-key": KEY } });

    expect(refused.status).toBe(400);
    expect(await idsFound(undefined)).toHaveLength(3);
  });

  it("ends on SIGTERM at once, and keeps what it stored for the next version", async () => {
    await fill();
    const { exitCode, seconds } = await qdrant.stop();
    await startQdrant(await published("qdrant/qdrant:v1.19.1-unprivileged"));

    expect(exitCode).toBe(0);
    expect(seconds).toBeLessThan(10);
    expect((await call("GET", url)).body).toMatchObject({ version: "1.19.1" });
    expect(await idsFound({ must: [{ key: "type", match: { value: "text" } }] })).toEqual([1, MARKER]);
  });

  it("has every answered write after a crash", async () => {
    await fill();
    await docker(["kill", "--signal", "KILL", qdrant.name]);
    await docker(["start", qdrant.name]);
    url = await qdrant.ready(6333, "/readyz");

    expect(await idsFound(undefined)).toEqual([1, 2, MARKER]);
  });
});

import { randomBytes } from "node:crypto";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { docker } from "../../../rehearsal/docker.ts";
import { Bench, call, type Container, published } from "./container.ts";

const KEY = "key-of-this-test";
const READ_KEY = "another-key";
const MARKER = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26";

const POINTS = [
  { id: 1, vector: [1, 0, 0, 0], payload: { type: "text", page_number: 3 } },
  { id: 2, vector: [0.9, 0.1, 0, 0], payload: { type: "image", page_number: 9 } },
  { id: MARKER, vector: [0, 1, 0, 0], payload: { type: "text", page_number: 12 } },
];

/** One running Qdrant, asked with the key that may do everything. */
class Qdrant {
  readonly container: Container;
  readonly url: string;

  constructor(container: Container, url: string) {
    this.container = container;
    this.url = url;
  }

  /** Starts one on a volume, locked up as in production. */
  static async start(bench: Bench, version: string, volume: string): Promise<Qdrant> {
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
      `${volume}:/qdrant/storage`,
      "--publish",
      "127.0.0.1::6333",
    ];
    const container = await bench.start(await published(`qdrant/qdrant:${version}-unprivileged`), args, [
      "./qdrant",
    ]);
    return new Qdrant(container, await container.ready(6333, "/readyz", 60));
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; result: unknown; error: unknown }> {
    const answer = await call(method, `${this.url}${path}`, body, { "api-key": KEY });
    const { result, status } = answer.body as { result?: unknown; status?: { error?: unknown } };
    return { status: answer.status, result, error: status?.error };
  }

  /** Makes a collection with indexes and three points; returns its path. */
  async fill(): Promise<string> {
    const collection = `/collections/c${randomBytes(4).toString("hex")}`;
    await this.ask("PUT", collection, { vectors: { size: 4, distance: "Cosine" } });
    await this.ask("PUT", `${collection}/index?wait=true`, { field_name: "type", field_schema: "keyword" });
    await this.ask("PUT", `${collection}/index?wait=true`, {
      field_name: "page_number",
      field_schema: "integer",
    });
    await this.ask("PUT", `${collection}/points?wait=true`, { points: POINTS });
    return collection;
  }

  async idsFound(collection: string, filter?: unknown): Promise<unknown[]> {
    const body = { vector: [1, 0, 0, 0], limit: 10, filter };
    const { result } = await this.ask("POST", `${collection}/points/search`, body);
    return (result as { id: unknown }[]).map(({ id }) => id);
  }

  async upload(collection: string, snapshot: Blob, priority = "snapshot"): Promise<number> {
    const form = new FormData();
    form.append("snapshot", snapshot, "one.snapshot");
    const url = `${this.url}${collection}/snapshots/upload?priority=${priority}`;
    return (await fetch(url, { method: "POST", body: form, headers: { "api-key": KEY } })).status;
  }
}

const TEXTS = { must: [{ key: "type", match: { value: "text" } }] };

describe("the qdrant image", () => {
  const bench = new Bench();
  let qdrant: Qdrant;

  beforeAll(async () => {
    qdrant = await Qdrant.start(bench, "v1.19.0", await bench.volume());
  });

  afterAll(() => bench.remove());

  it("runs as uid 1000 with bash and without curl, and answers bash's probe", async () => {
    const { container } = qdrant;
    const probe =
      "exec 3<>/dev/tcp/127.0.0.1/6333; printf 'GET /readyz HTTP/1.0\\r\\nHost: l\\r\\n\\r\\n' >&3; grep -q ' 200 ' <&3";

    expect((await container.exec(["id", "-u"])).trim()).toBe("1000");
    await expect(container.shell("command -v curl || command -v wget")).rejects.toThrow("got 127");
    await expect(container.exec(["bash", "-c", probe])).resolves.toBe("");
  });

  it("refuses requests without a key, except for its version and health", async () => {
    const statusOf = async (path: string, headers = {}) =>
      (await call("GET", `${qdrant.url}${path}`, undefined, headers)).status;

    for (const open of ["/", "/healthz", "/livez", "/readyz"]) {
      expect([open, await statusOf(open)]).toEqual([open, 200]);
    }
    for (const closed of ["/collections", "/metrics", "/healthz/x"]) {
      expect([closed, await statusOf(closed)]).toEqual([closed, 401]);
    }
    expect(await statusOf("/collections", { "api-key": "wrong" })).toBe(401);
    expect(await statusOf("/collections", { authorization: `Bearer ${KEY}` })).toBe(200);
  });

  it("lets the read-only key read and refuses it to write", async () => {
    const headers = { "api-key": READ_KEY };

    expect((await call("GET", `${qdrant.url}/metrics`, undefined, headers)).body).toContain(
      'version="1.19.0"',
    );
    expect(await call("DELETE", `${qdrant.url}/collections/any`, undefined, headers)).toMatchObject({
      status: 403,
      body: { status: { error: "Forbidden: Global manage access is required" } },
    });
  });

  it("reads its key from the configuration file of its run mode", async () => {
    const image = await published("qdrant/qdrant:v1.19.0-unprivileged");
    const write = 'echo "service: { api_key: from-the-file }" > config/production.yaml && exec ./qdrant';
    const args = ["--user", "0", "--publish", "127.0.0.1::6333"];
    const other = await bench.start(image, args, ["sh", "-c", write]);
    const url = `${await other.ready(6333, "/readyz", 60)}/collections`;

    expect((await call("GET", url)).status).toBe(401);
    expect((await call("GET", url, undefined, { "api-key": "from-the-file" })).status).toBe(200);
  });

  it("describes a collection with its size, distance and indexes, and refuses a second of its name", async () => {
    const collection = await qdrant.fill();

    expect((await qdrant.ask("GET", collection)).result).toMatchObject({
      status: "green",
      points_count: 3,
      config: { params: { vectors: { size: 4, distance: "Cosine" } } },
      payload_schema: { type: { data_type: "keyword", points: 3 }, page_number: { data_type: "integer" } },
    });
    const again = { vectors: { size: 4, distance: "Cosine" } };
    expect((await qdrant.ask("PUT", collection, again)).status).toBe(409);
    await qdrant.ask("DELETE", `${collection}/index/type`);
    expect(await indexesOf(qdrant, collection)).toEqual(["page_number"]);
  });

  it("searches by nearness within a filter", async () => {
    const collection = await qdrant.fill();
    const page = (range: object) => ({ key: "page_number", range });
    const found = (filter?: unknown) => qdrant.idsFound(collection, filter);

    expect(await found()).toEqual([1, 2, MARKER]);
    expect(await found(TEXTS)).toEqual([1, MARKER]);
    expect(await found({ must_not: TEXTS.must })).toEqual([2]);
    expect(await found({ should: [page({ lt: 4 }), page({ gte: 12 })] })).toEqual([1, MARKER]);
    expect(await found({ must: [{ has_id: [MARKER] }] })).toEqual([MARKER]);
    const query = { query: [0, 1, 0, 0], limit: 1, with_payload: true };
    expect((await qdrant.ask("POST", `${collection}/points/query`, query)).result).toMatchObject({
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
    const collection = await qdrant.fill();

    expect(await qdrant.ask(method, `${collection}${path}`, body)).toMatchObject({
      status: 400,
      error: expect.stringContaining(told) as unknown,
    });
  });

  it("lists other names of collections until they are deleted", async () => {
    const collection = await qdrant.fill();
    const [alias_name, collection_name] = ["other", collection.split("/").at(-1)];
    const change = (action: unknown) => qdrant.ask("POST", "/collections/aliases", { actions: [action] });

    expect(await change({ create_alias: { alias_name, collection_name } })).toMatchObject({ result: true });
    expect(await qdrant.ask("GET", "/aliases")).toMatchObject({
      result: { aliases: [{ alias_name, collection_name }] },
    });
    await change({ delete_alias: { alias_name } });
    expect(await qdrant.ask("GET", "/aliases")).toMatchObject({ result: { aliases: [] } });
  });

  it("fails with 404 on an unknown collection", async () => {
    expect(await qdrant.ask("GET", "/collections/none")).toMatchObject({
      status: 404,
      error: "Not found: Collection `none` doesn't exist!",
    });
  });

  it("counts, pages through, gets and deletes points", async () => {
    const collection = await qdrant.fill();
    const post = async (path: string, body: unknown) =>
      (await qdrant.ask("POST", `${collection}/points/${path}`, body)).result;
    const { next_page_offset: offset } = (await post("scroll", { limit: 2 })) as { next_page_offset: string };

    expect(await post("count", {})).toEqual({ count: 3 });
    expect(await post("scroll", { limit: 2, offset })).toMatchObject({
      points: [{ id: MARKER }],
      next_page_offset: null,
    });
    expect((await qdrant.ask("GET", `${collection}/points/2`)).result).toMatchObject({
      payload: { type: "image" },
    });
    await post("delete?wait=true", { points: [MARKER] });
    await post("delete?wait=true", { filter: { must: [{ key: "type", match: { value: "image" } }] } });
    expect(await post("count", {})).toEqual({ count: 1 });
    expect((await qdrant.ask("GET", `${collection}/points/${MARKER}`)).status).toBe(404);
  });

  it("restores a deleted collection from its snapshot, without its indexes and aliases", async () => {
    const collection = await qdrant.fill();
    const { name } = (await qdrant.ask("POST", `${collection}/snapshots?wait=true`)).result as {
      name: string;
    };
    const source = `${qdrant.url}${collection}/snapshots/${name}`;
    const snapshot = await (await fetch(source, { headers: { "api-key": KEY } })).blob();
    const alias = `a${randomBytes(4).toString("hex")}`;
    await qdrant.ask("POST", "/collections/aliases", {
      actions: [{ create_alias: { alias_name: alias, collection_name: collection.split("/")[2] } }],
    });
    await qdrant.ask("DELETE", collection);

    expect(await qdrant.upload(collection, snapshot)).toBe(200);
    expect(await qdrant.idsFound(collection, TEXTS)).toEqual([1, MARKER]);
    expect(await indexesOf(qdrant, collection)).toEqual([]);
    expect(JSON.stringify((await qdrant.ask("GET", "/aliases")).result)).not.toContain(alias);
    expect(snapshot.size).toBeLessThan(2_000_000);

    // Without the priority a new node has nothing to keep.
    await qdrant.ask("DELETE", collection);
    expect(await qdrant.upload(collection, snapshot, "replica")).toBe(200);
    expect(await qdrant.idsFound(collection)).toEqual([]);
  });

  it("lists a snapshot until it is deleted", async () => {
    const collection = await qdrant.fill();
    const { name } = (await qdrant.ask("POST", `${collection}/snapshots`)).result as { name: string };

    expect((await qdrant.ask("GET", `${collection}/snapshots`)).result).toMatchObject([{ name }]);
    await qdrant.ask("DELETE", `${collection}/snapshots/${name}`);
    expect((await qdrant.ask("GET", `${collection}/snapshots`)).result).toEqual([]);
  });

  it("fails with 400 on a snapshot that is none, and keeps the collection", async () => {
    const collection = await qdrant.fill();

    expect(await qdrant.upload(collection, new Blob(["no archive"]))).toBe(400);
    expect(await qdrant.idsFound(collection)).toHaveLength(3);
  });
});

describe("the qdrant image's storage", () => {
  const bench = new Bench();
  let volume: string;
  let qdrant: Qdrant;
  let collection: string;

  beforeEach(async () => {
    volume = await bench.volume();
    qdrant = await Qdrant.start(bench, "v1.19.0", volume);
    collection = await qdrant.fill();
  });

  afterEach(() => bench.remove());

  it("is flushed when SIGTERM ends the program, and kept for the next version", async () => {
    const { exitCode, seconds } = await qdrant.container.stop();
    const next = await Qdrant.start(bench, "v1.19.1", volume);

    expect(exitCode).toBe(0);
    expect(seconds).toBeLessThan(20);
    expect((await call("GET", next.url)).body).toMatchObject({ version: "1.19.1" });
    expect(await next.idsFound(collection, TEXTS)).toEqual([1, MARKER]);
  });

  it("has every answered write after a crash", async () => {
    const { container } = qdrant;
    await docker(["kill", "--signal", "KILL", container.name]);
    await docker(["start", container.name]);
    const restarted = new Qdrant(container, await container.ready(6333, "/readyz", 60));

    expect(await restarted.idsFound(collection)).toEqual([1, 2, MARKER]);
  });
});

async function indexesOf(qdrant: Qdrant, collection: string): Promise<string[]> {
  const { result } = await qdrant.ask("GET", collection);
  return Object.keys((result as { payload_schema: object }).payload_schema);
}

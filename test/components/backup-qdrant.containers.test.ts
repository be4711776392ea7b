import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { createNetwork, imageOf, type TestNetwork } from "../support/containers.ts";
import { until } from "../support/until.ts";

const SCRIPTS = fileURLToPath(new URL("../../components/scripts/backup/", import.meta.url));

let network: TestNetwork;
let folder: string;
let url: string;

beforeAll(async () => {
  network = await createNetwork();
  folder = await mkdtemp(join(tmpdir(), "technicia-qdrant-"));
  for (const name of ["snapshots", "set"]) await mkdir(join(folder, name));
  await chmod(join(folder, "snapshots"), 0o777);
  const image = await imageOf("qdrant");
  const address = await network.start("qdrant", ["--volume", `${folder}/snapshots:/qdrant/snapshots`, image]);
  url = `http://${address}:6333`;
  await until(
    "Qdrant answers",
    async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true,
  );
  await ask("PUT", "/collections/manuals", { vectors: { size: 2, distance: "Cosine" } });
  await ask("PUT", "/collections/manuals/index?wait=true", { field_name: "type", field_schema: "keyword" });
  const points = Array.from({ length: 500 }, (_, id) => ({
    id,
    vector: [1, id],
    payload: { type: id % 2 ? "text" : "image" },
  }));
  await ask("PUT", "/collections/manuals/points?wait=true", { points });
  await ask("POST", "/collections/aliases", {
    actions: [{ create_alias: { alias_name: "documents", collection_name: "manuals" } }],
  });
});
afterAll(async () => {
  await network.remove();
  await rm(folder, { recursive: true });
});

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return ((await answer.json()) as { result?: unknown }).result;
}

/** Runs the program's own functions against this Qdrant. */
async function python(code: string): Promise<unknown> {
  const {
    code: ending,
    stdout,
    stderr,
  } = await tryRun([
    "python3",
    "-B",
    "-c",
    `
import json, pathlib, sys
sys.path.insert(0, ${JSON.stringify(SCRIPTS)})
import qdrant
folder = pathlib.Path(${JSON.stringify(folder)})
running = qdrant.Qdrant(${JSON.stringify(`${network.name}-qdrant`)}, folder / "snapshots")
def take():
    collections = {name: running.take(name, folder / "set") for name in running.names()}
    return {"version": running.version(), "aliases": running.aliases(), "collections": collections}
${code}`,
  ]);
  if (ending !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

describe("Qdrant in a set", () => {
  it("comes back with its points, and with the indexes and aliases that no snapshot holds", async () => {
    const item = (await python("print(json.dumps(take()))")) as {
      collections: Record<string, { indexes: object }>;
    };
    expect(item.collections["manuals"]).toMatchObject({
      points: 500,
      least: 500,
      most: 500,
      indexes: { type: "keyword" },
    });
    expect(await ask("GET", "/collections/manuals/snapshots")).toEqual([]);
    await ask("DELETE", "/collections/manuals");

    const [before, counts, after] = (await python(`
item = json.loads(${JSON.stringify(JSON.stringify(item))})
running.ask("PUT", "/collections/manuals", {"vectors": {"size": 2, "distance": "Cosine"}})
before = qdrant.differences(running, item)
counts = qdrant.restore(running, item, folder / "set")
print(json.dumps([before, counts, qdrant.differences(running, item)]))`)) as [string[], object, string[]];

    expect(before).toEqual([
      "qdrant manuals: expected 500 points, got 0",
      "qdrant manuals: expected an index of type, got none",
      "qdrant: expected the alias documents of manuals",
    ]);
    expect(counts).toEqual({ manuals: 500 });
    expect(after).toEqual([]);
    expect(await ask("GET", "/collections/manuals")).toMatchObject({
      payload_schema: { type: { data_type: "keyword" } },
    });
  });

  it("takes away an alias that came later, and leaves those of other collections", async () => {
    await ask("PUT", "/collections/notes", { vectors: { size: 2, distance: "Cosine" } });
    const actions = [
      { create_alias: { alias_name: "later", collection_name: "manuals" } },
      { create_alias: { alias_name: "mine", collection_name: "notes" } },
    ];
    await ask("POST", "/collections/aliases", { actions });
    await python(
      `running.point_aliases({"aliases": {"documents": "manuals"}, "collections": {"manuals": {}}}); print("null")`,
    );

    expect(await python("print(json.dumps(running.aliases()))")).toEqual({
      documents: "manuals",
      mine: "notes",
    });
  });

  it.each([
    ["1.18.0", "expected a running version 1.18.0 or a later 1.18.x"],
    ["1.19.9", "expected a running version 1.19.9 or a later 1.19.x"],
    ["2.0.0", "expected a running version 2.0.0 or a later 2.0.x"],
  ])(
    "of the version %s is refused by another minor version, and by an earlier patch",
    async (version, expected) => {
      await expect(
        python(`qdrant.require_same_minor({"version": ${JSON.stringify(version)}}, "1.19.0")`),
      ).rejects.toThrow(expected);
    },
  );

  it("that was changed is refused", async () => {
    await expect(
      python(`
item = take()
path = folder / "set" / item["collections"]["manuals"]["file"]
path.write_bytes(path.read_bytes()[:-1])
qdrant.restore(running, item, folder / "set")`),
    ).rejects.toThrow("the snapshot of manuals is not the one that the manifest names");
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { until } from "../../support/until.ts";
import { FakeServer } from "./fake-server.ts";

let server: FakeServer;

beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(() => server.close());

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
const DAY = 86_400;

async function ready(document: string, { ingestion = "i1", pages = 3, at = ago(DAY) } = {}): Promise<void> {
  await server.keep(document, ingestion, { state: "ready", pages, passages: pages, images: 1, at });
  server.store(document, { ingestion, pages });
}

async function list(): Promise<Record<string, unknown>[]> {
  const { stdout } = await server.run("list");
  return JSON.parse(stdout) as Record<string, unknown>[];
}

const ingestions = (document: string) => [
  ...new Set(
    server.points
      .filter(({ payload }) => payload["document_id"] === document)
      .map(({ payload }) => payload["ingestion"]),
  ),
];

describe("one document", () => {
  it("is shown as in the list, from its own points alone", async () => {
    await ready("a");
    await ready("b", { pages: 5 });
    const { stdout } = await server.run("show", "b");

    expect(JSON.parse(stdout)).toEqual((await list()).find(({ id }) => id === "b"));
    const { code, stderr } = await server.run("show", "c");
    expect([code, stderr]).toEqual([1, expect.stringContaining("c: expected a document of prod, got none")]);
  });

  it("is one of those whose points are counted", async () => {
    await ready("a");
    server.store("orphan", { pages: 2 });

    expect(JSON.parse((await server.run("count")).stdout)).toEqual({ points: 5 });
  });
});

describe("the list of documents", () => {
  it("has title, pages, points, images, bytes and time of each, in both places and page by page", async () => {
    await ready("a", { at: "2026-11-27T10:00:00.123Z" });
    await ready("b", { at: "2026-11-28T10:00:00.123Z", pages: 5 });

    expect(await list()).toMatchObject([
      {
        ...{ id: "a", title: "a !", pages: 3, points: 3, images: 1, at: "2026-11-27T10:00:00Z" },
        ...{ state: "ready", problems: [] },
      },
      { id: "b", points: 5 },
    ]);
  });

  it("names what does not fit together", async () => {
    server.store("orphan", { pages: 2 });
    await server.keep("empty", "i1", { state: "ready", pages: 3, passages: 3 });
    await server.keep("half", "i1", { state: "ready", pages: 3, passages: 3 });
    server.store("half", { ingestion: "i1", pages: 2 });
    server.store("half", { ingestion: "i0", pages: 1 });
    await server.keep("failed", "i1", { state: "failed", reason: "Vectoriser : 500" });
    await server.write("cut.pdf", "%PDF");
    await server.age("cut.pdf", 2 * DAY);
    const found = Object.fromEntries(
      (await list()).map(({ id, state, problems }) => [String(id), [state, problems]] as const),
    );

    expect(found).toEqual({
      orphan: ["unknown", ["points without a file"]],
      empty: ["ready", ["a file without points"]],
      half: ["ready", ["expected 3 points, got 2", "1 points of an earlier ingestion"]],
      failed: ["failed", ["its ingestion failed: Vectoriser : 500"]],
      cut: ["failed", ["its ingestion failed: it was interrupted"]],
    });
  });

  it("leaves out what a restore has laid aside, and says of a document that it is being indexed", async () => {
    await server.write(".technicia-replaced", "x");
    await server.write("new.pdf", "%PDF");
    await server.keep("now", "i1", { state: "running" });
    await server.write("now.i1.json", "");

    expect((await list()).map(({ id, state }) => [id, state])).toEqual([
      ["new", "running"],
      ["now", "running"],
    ]);
  });

  it("fails with the reason where Qdrant does not answer, and never with its key", async () => {
    server.broken = 503;
    const { code, stderr } = await server.run("list");

    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^qdrant: POST .*expected the status 200, got 503/),
    ]);
    expect(stderr).not.toContain("canary");
  });
});

describe("the deletion of a document", () => {
  it("removes its points, files and images, nobody else's, and says what it removed", async () => {
    await ready("a");
    await ready("b");
    const { code, stdout } = await server.run("delete", "a");

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ id: "a", points: 3, files: 2, images: 1, bytes: 7 });
    expect(await server.files()).toEqual(["b.i1.json", "b.pdf", "b/i1/images/1.png"]);
    expect(ingestions("a")).toEqual([]);
    expect(server.points).toHaveLength(3);
  });

  it("removes points that no file belongs to, and files that no point belongs to", async () => {
    server.store("orphan", { pages: 2 });
    await server.keep("empty", "i1", { state: "failed" });

    expect([(await server.run("delete", "orphan")).code, (await server.run("delete", "empty")).code]).toEqual(
      [0, 0],
    );
    expect([server.points, await server.files()]).toEqual([[], []]);
  });

  it.each(["unknown", "../a", "a.i1", ""])("refuses %j, which is no document", async (document) => {
    await ready("a");
    const { code, stderr } = await server.run("delete", document);

    expect([code, stderr]).toEqual([1, expect.stringContaining("npm run documents -- prod list")]);
    expect(server.points).toHaveLength(3);
  });

  it("refuses a document that is being indexed, and while data is restored", async () => {
    await server.keep("now", "i1", { state: "running" });
    expect((await server.run("delete", "now")).stderr).toMatch(/is being indexed now, for 60 s at most/);

    await ready("a");
    await server.beginRestore();
    expect((await server.run("delete", "a")).stderr).toMatch(/^a restore is at work/);
    expect(await server.files()).toHaveLength(6);
  });

  it("removes no file before the points are gone, and finishes when it is typed again", async () => {
    await ready("a");
    server.broken = 500;
    expect((await server.run("delete", "a")).code).toBe(1);
    expect(await server.files()).toHaveLength(3);

    // As an interruption after the points leaves it.
    server.broken = undefined;
    server.points = [];
    expect((await list())[0]).toMatchObject({ id: "a", problems: ["a file without points"] });
    expect((await server.run("delete", "a")).code).toBe(0);
    expect(await server.files()).toEqual([]);
    expect((await server.run("delete", "a")).code).toBe(1);
  });
});

describe("another ingestion", () => {
  /** n8n stores new points beside the old ones. */
  function n8nSucceeds(pages: number): void {
    server.reindex = async ({ documentId, documentName }) => {
      await server.keep(documentId, "i2", { document_name: documentName, state: "running" });
      server.store(documentId, { ingestion: "i2", pages });
      setImmediate(() => {
        const done = { document_name: documentName, state: "ready", pages, passages: pages };
        void server.keep(documentId, "i2", done);
      });
      return "i2";
    };
  }

  it("replaces the old points only once the new ones are there", async () => {
    await ready("a");
    n8nSucceeds(4);
    const { code, stdout } = await server.run("reindex", "a");

    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      [{ id: "a", title: "a !", indexed: true, before: 3, points: 4, reason: null }],
    ]);
    expect(ingestions("a")).toEqual(["i2"]);
    expect(await server.files()).toEqual(["a.i2.json", "a.pdf", "a/i2/images/1.png"]);
    const [asked, removed] = ["/webhook/reindex", "/points/delete"].map((part) =>
      server.asked.findIndex((line) => line.includes(part)),
    );
    expect(asked!).toBeLessThan(removed!);
  });

  it("replaces points of before the ingestions had names", async () => {
    await server.keep("a", "i1", { state: "failed" });
    server.store("a", { pages: 2 });
    n8nSucceeds(3);
    await server.run("reindex", "a");

    expect([ingestions("a"), await server.files()]).toEqual([
      ["i2"],
      expect.not.arrayContaining(["a.i1.json"]),
    ]);
  });

  it("that fails leaves the old points alone, and says why", async () => {
    await ready("a");
    server.reindex = async ({ documentId }) => {
      server.store(documentId, { ingestion: "i2", pages: 1 });
      await server.keep(documentId, "i2", { state: "failed", reason: "Vectoriser : 500" });
      return "i2";
    };
    const { stdout } = await server.run("reindex", "a");

    expect(JSON.parse(stdout)).toMatchObject([{ indexed: false, reason: "Vectoriser : 500" }]);
    expect(ingestions("a")).toEqual(["i1"]);
    expect(await server.files()).toEqual(["a.i1.json", "a.pdf", "a/i1/images/1.png"]);
  });

  it("waits for one that is at work already instead of starting another", async () => {
    await ready("a");
    await server.keep("a", "i2", { state: "running" });
    server.store("a", { ingestion: "i2", pages: 2 });
    const running = server.run("reindex", "a");
    // By then the program has seen the card.
    await until("Qdrant is asked", () => Promise.resolve(server.asked.length > 0));
    await server.keep("a", "i2", { state: "ready", pages: 2, passages: 2 });

    expect(JSON.parse((await running).stdout)).toMatchObject([{ indexed: true, points: 2 }]);
    expect(server.asked).not.toContain("POST /webhook/reindex");
  });

  it("is made of every document that has a file, and refused for one that has none", async () => {
    await ready("a");
    await ready("b");
    server.store("orphan", { pages: 1 });
    n8nSucceeds(2);

    expect(JSON.parse((await server.run("reindex")).stdout)).toMatchObject([
      { id: "a", indexed: true },
      { id: "b", indexed: true },
    ]);
    expect((await server.run("reindex", "orphan")).stderr).toMatch(/^orphan: expected the PDF/);
  });
});

describe("the sweep", () => {
  it("removes points and images of a failed ingestion, keeps the PDF for another try, and asks nobody the next time", async () => {
    await ready("good");
    await server.keep("bad", "i1", { state: "failed", reason: "Vectoriser : 500" });
    server.store("bad", { ingestion: "i1", pages: 2 });
    await server.run("sweep");

    expect([ingestions("bad"), ingestions("good")]).toEqual([[], ["i1"]]);
    expect(await server.files()).toEqual([
      "bad.i1.json",
      "bad.pdf",
      "good.i1.json",
      "good.pdf",
      "good/i1/images/1.png",
    ]);
    server.asked.length = 0;
    expect((await server.run("sweep")).code).toBe(0);
    expect(server.asked).toEqual([]);
  });

  it("takes one for failed that has not ended in the time of an execution, and says so", async () => {
    await server.keep("cut", "i1", { state: "running", at: ago(600) });
    await server.keep("now", "i1", { state: "running", at: ago(10) });
    server.store("cut", { ingestion: "i1", pages: 1 });
    server.store("now", { ingestion: "i1", pages: 1 });
    await server.age("cut.i1.json", 600);
    await server.run("sweep");

    expect([ingestions("cut"), ingestions("now")]).toEqual([[], ["i1"]]);
    expect(await server.card("cut.i1")).toMatchObject({
      state: "failed",
      reason: "l'indexation a été interrompue",
      document_name: "cut !",
    });
  });

  it("removes a failed document after some days, and an upload that nobody began to index after an hour", async () => {
    await server.keep("old", "i1", { state: "failed", at: ago(8 * DAY) });
    await server.keep("young", "i1", { state: "failed", at: ago(6 * DAY) });
    for (const name of ["refused", "uploading"]) await server.write(`${name}.pdf`, "%PDF");
    await server.age("refused.pdf", 3700);
    await server.run("sweep");

    expect(await server.files()).toEqual(["uploading.pdf", "young.i1.json", "young.pdf"]);
  });

  it("removes the points that n8n stored twice because one of them had to be tried again", async () => {
    await ready("a");
    server.store("a", { ingestion: "i1", pages: 3 });
    await server.run("sweep");

    expect(server.points.map(({ payload }) => payload["passage"])).toEqual([1, 2, 3]);
    expect((await list())[0]).toMatchObject({ points: 3, problems: [] });
  });

  it("leaves an earlier ingestion alone while points of the newer one are missing", async () => {
    await ready("a");
    await server.keep("a", "i2", { state: "ready", pages: 4, passages: 4 });
    server.store("a", { ingestion: "i2", pages: 2 });
    await server.run("sweep");

    expect(ingestions("a")).toEqual(["i1", "i2"]);
  });

  it("does nothing while data is restored", async () => {
    await server.keep("old", "i1", { state: "failed", at: ago(8 * DAY) });
    await server.beginRestore();

    expect((await server.run("sweep")).code).toBe(0);
    expect(await server.files()).toHaveLength(3);
  });
});

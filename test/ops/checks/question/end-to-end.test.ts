/** A site that answers as our workflows do, and the real program about documents on a server that is a folder. */
import type { IncomingMessage } from "node:http";
import { createServer, type Server as HttpsServer } from "node:https";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { Check } from "../../../../common/check.ts";
import { createMarkedDocument } from "../../../../ops/checks/question/marked-document.ts";
import { checkQuestion } from "../../../../ops/checks/question/end-to-end.ts";
import type { Server } from "../../../../ops/server/connection.ts";
import { readPdf } from "../../../../rehearsal/fake-clouds/google/pdf.ts";
import { FakeServer } from "../../../components/documents/fake-server.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { until } from "../../../support/until.ts";
import { close, contextWith, issue, type Issued, listen, localServer } from "../fixtures.ts";

const ON = {
  workflows: { enabled: true },
  documents: { enabled: true },
  "services.documentProcessor": {
    ...{ enabled: true, project: "technicia-1234", location: "eu", processorId: "0123456789abcdef" },
    ...{ memoryMib: 640, cpus: 1 },
  },
};

interface Uploaded {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

let issued: Issued;
let documents: FakeServer;
let site: HttpsServer;
let https: number;
let program: string;
let uploaded: Uploaded[];
let questions: { readonly question: string; readonly filters: unknown }[];

/** What the site does; each test changes what it is about. */
let world: {
  upload: (file: Uploaded) => Promise<{ readonly status?: number; readonly body?: object }>;
  answer: (file: Uploaded) => object;
};

beforeAll(async () => {
  issued = await issue("localhost", 30);
});
afterAll(() => issued.remove());

beforeEach(async () => {
  documents = await FakeServer.start();
  program = await documents.program();
  [uploaded, questions] = [[], []];
  world = { upload: index, answer };
  site = createServer({ cert: issued.certificate, key: issued.key }, (request, response) => {
    void respond(request).then(({ status = 200, body = {} }) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)),
    );
  });
  https = Number(new URL(await listen(site)).port);
  await documents.keep("theirs", "i1", { state: "ready", pages: 2, passages: 2 });
  documents.store("theirs", { ingestion: "i1", pages: 2 });
});
afterEach(async () => {
  await close(site);
  await documents.close();
});

async function respond(request: IncomingMessage): Promise<{ status?: number; body?: object }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  if (request.url === "/api/question") {
    questions.push(JSON.parse(bytes.toString()) as (typeof questions)[number]);
    return { body: world.answer(uploaded.at(-1)!) };
  }
  const headers = { "content-type": request.headers["content-type"] ?? "" };
  const file = (await new Response(bytes, { headers }).formData()).get("file") as File;
  const pdf = await readPdf(new Uint8Array(await file.arrayBuffer()), 15);
  const text = (pdf?.pages ?? []).flatMap(({ paragraphs }) => paragraphs.flat()).join(" ");
  uploaded.push({ id: `ours${uploaded.length}`, title: file.name, text });
  return await world.upload(uploaded.at(-1)!);
}

/** As the ingestion leaves a document. */
async function index({ id, title }: Uploaded, card: object = {}) {
  const known = { state: "ready", pages: 1, passages: 1, images: 0, document_name: title, ...card };
  await documents.keep(id, "i1", known);
  documents.store(id, { ingestion: "i1", pages: 1 });
  return { body: { success: true, document_id: id, status: "processing" } };
}

function answer({ id, title, text }: Uploaded): object {
  const [sentence = ""] = /La pression[^.]*\./.exec(text) ?? [];
  const sources = [{ documentId: id, title, page: 1 }];
  return { answer: sentence, sources, timings: { searchMs: 2, modelMs: 1 } };
}

const server = (): Server => ({
  ...localServer(),
  run: (command) =>
    localServer().run({
      ...command,
      script: command.script.replace("/opt/technicia/documents/main.py", program),
    }),
});

async function check(
  settings: Readonly<Record<string, unknown>> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<{ readonly works: Check; readonly fast: Check }> {
  const environment = environmentWith({ ...structuredClone(ON), ...settings });
  const [works, fast] = await checkQuestion(contextWith({ environment, signal }), {
    site: { domain: "localhost", ports: { http: 9, https }, authorities: issued.authority },
    access: { server: server() },
  });
  return { works: works!, fast: fast! };
}

/** Ids of what is left, in both places. */
async function left(): Promise<unknown[]> {
  const { stdout } = await documents.run("list");
  return (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);
}

describe("the marked document", () => {
  it("is one page of French that answers its own question, and differs each time", async () => {
    const [one, other] = [await createMarkedDocument(), await createMarkedDocument()];
    const pdf = await readPdf(new Uint8Array(one.pdf), 15);
    const [mark = ""] = /VT-[0-9a-f]{8}/.exec(one.question) ?? [];

    expect(pdf?.count).toBe(1);
    expect(pdf?.pages.flatMap(({ paragraphs }) => paragraphs.flat()).join(" ")).toContain(
      `La pression de consigne du repère ${mark} est de ${one.fact} bar.`,
    );
    expect([other.title, other.question]).not.toEqual([one.title, one.question]);
  });
});

describe("the question from end to end", () => {
  it("passes with an answer from the document, measures each hop, and leaves what was there", async () => {
    const { works, fast } = await check();

    expect(works).toMatchObject({
      id: "functional-question",
      outcome: "ok",
      detail: "réponse avec sa source ; 2 points avant, 2 après",
      measures: { pages: 1, searchMs: 2, modelMs: 1, pointsBefore: 2, pointsAfter: 2 },
    });
    expect(fast).toMatchObject({ id: "performance-question", outcome: "ok" });
    expect(Object.keys(fast.measures ?? {}).sort()).toEqual(
      ["answerMs", "indexingMs", "modelMs", "ownMs", "searchMs", "uploadMs"].sort(),
    );
    expect(uploaded).toMatchObject([
      { title: expect.stringMatching(/^verification-technicia-[0-9a-f]{8}\.pdf$/) as string },
    ]);
    expect(questions).toMatchObject([
      { filters: { must: [{ key: "document_id", match: { value: "ours0" } }] } },
    ]);
    expect(await left()).toEqual(["theirs"]);
  });

  it("waits for a document that is still being indexed", async () => {
    world.upload = async (file) => {
      const accepted = await index(file, { state: "running" });
      void until("the check looks at it", () => looked > 2).then(() => index(file));
      return accepted;
    };
    let looked = 0;
    const real = server();
    const looking: Server = {
      ...real,
      run: (command) => {
        if (command.purpose.startsWith("look")) looked += 1;
        return real.run(command);
      },
    };
    const [works] = await checkQuestion(contextWith({ environment: environmentWith(structuredClone(ON)) }), {
      site: { domain: "localhost", ports: { http: 9, https }, authorities: issued.authority },
      access: { server: looking },
    });

    expect(works).toMatchObject({ outcome: "ok" });
    expect(looked).toBeGreaterThan(2);
  });

  it.each([
    ["an empty answer", { answer: " " }, "réponse vide"],
    ["no source", { sources: [] }, "réponse sans le document parmi ses sources"],
    [
      "another document's source",
      { sources: [{ documentId: "theirs", title: "t", page: 1 }] },
      "réponse sans le document parmi ses sources",
    ],
    ["a simulated result", { results: [{ simulated: true }] }, "réponse simulée"],
    ["another number", { answer: "1 bar [1]." }, "réponse sans ce que dit le document"],
  ])("fails for %s, and removes the document all the same", async (_, change, problem) => {
    world.answer = (file) => ({ ...answer(file), ...change });
    const { works, fast } = await check();

    expect(works).toMatchObject({ outcome: "failed", detail: problem });
    expect(fast).toMatchObject({ outcome: "not-checked" });
    expect(await left()).toEqual(["theirs"]);
  });

  it("fails for an upload that is refused, and for one that is not indexed, with the reason", async () => {
    world.upload = () => Promise.resolve({ status: 502, body: { errors: ["Le service ne répond pas"] } });
    expect((await check()).works).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("POST /api/upload : attendu 200 et document_id, trouvé 502") as string,
    });
    world.upload = (file) => index(file, { state: "failed", reason: "Vectoriser : 500" });
    expect((await check()).works).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("Vectoriser : 500") as string,
    });
    expect(await left()).toEqual(["theirs"]);
  });

  it("fails where points of others have disappeared meanwhile", async () => {
    world.answer = (file) => {
      documents.points = documents.points.filter(({ payload }) => payload["page_number"] !== 2);
      return answer(file);
    };

    expect((await check()).works).toMatchObject({
      outcome: "failed",
      detail: "2 points avant, 1 après : des points ont disparu",
    });
  });

  it("fails where the document stays, with the reason", async () => {
    world.answer = (file) => {
      documents.broken = 503;
      return answer(file);
    };

    expect((await check()).works).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("n'a pas pu être supprimé") as string,
    });
  });

  it("removes what a verification that was killed has left, before it counts", async () => {
    await index({ id: "older", title: "verification-technicia-0123abcd.pdf", text: "" });
    await index({ id: "similar", title: "verification-technicia-manuel.pdf", text: "" });

    expect((await check()).works).toMatchObject({ outcome: "ok", measures: { pointsBefore: 3 } });
    expect((await left()).toSorted()).toEqual(["similar", "theirs"]);
  });

  it("removes the document before it ends when it is interrupted", async () => {
    const stop = new AbortController();
    world.answer = (file) => {
      stop.abort();
      return answer(file);
    };
    const { works } = await check({}, stop.signal);

    expect(works).toMatchObject({ outcome: "not-checked", detail: "interrompu" });
    expect(await left()).toEqual(["theirs"]);
  });

  it.each([
    ["workflows.enabled", { workflows: { enabled: false } }],
    [
      "services.documentProcessor.enabled",
      { "services.documentProcessor.enabled": false, documents: { enabled: false } },
    ],
    ["documents.enabled", { documents: { enabled: false } }],
  ])("is not checked, with the reason, without %s", async (name, settings) => {
    const { works, fast } = await check(settings);

    expect(works).toMatchObject({
      outcome: "not-checked",
      detail: expect.stringContaining(`technicia:${name} est false`) as string,
    });
    expect(fast.outcome).toBe("not-checked");
    expect(uploaded).toEqual([]);
  });
});

describe("the speed of the question", () => {
  const took = (timings: object) => {
    world.answer = (file) => ({ ...answer(file), timings });
  };

  const limits = (release: object) => ({ monitoring: { thresholds: { release } } });

  it("fails for a search above its limit, measured a second time", async () => {
    took({ searchMs: 1001, modelMs: 0 });
    const { works, fast } = await check();

    expect(works.outcome).toBe("ok");
    expect(fast).toMatchObject({ outcome: "failed", measures: { searchMs: 1001 } });
    expect(fast.detail).toContain("recherche au-dessus de 1 s");
    expect(questions).toHaveLength(2);
  });

  it("has the limits of the settings", async () => {
    took({ searchMs: 1001, modelMs: 0 });

    expect((await check(limits({ searchSeconds: 2 }))).fast.outcome).toBe("ok");
    const strict = limits({ questionSeconds: 0.001 });
    expect((await check(strict)).fast.detail).toContain("réponse sans le modèle au-dessus de 0.001 s");
    const short = limits({ indexingStartSeconds: 0.001, hundredPagesSeconds: 0.1 });
    expect((await check(short)).fast.detail).toContain("indexation au-dessus de 0.002 s");
  });

  it("is not judged where the workflow does not say what its parts took", async () => {
    took({});

    expect((await check()).fast).toMatchObject({
      outcome: "not-checked",
      detail: expect.stringContaining("ne donne pas ses temps") as string,
    });
  });
});

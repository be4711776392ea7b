import { describe, expect, it } from "vitest";

import { HttpFailure, request, runWorkflow, type HttpCall, type Item, type Run } from "./n8n.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const pdf = { fileName: "Pompe.PDF", mimeType: "application/pdf", data: "filesystem-v2:1" };

function upload(binary: Item["binary"], headers: Readonly<Record<string, string>> = {}): Item {
  const json = { headers, params: {}, query: {}, body: {} };
  return binary === undefined ? { json } : { json, binary };
}

const blocks = [
  { text: "Purger   le circuit.\nOuvrir la vanne.", confidence: 0.9, page: 1 },
  { text: "Serrer à 12 Nm.", confidence: 0.8, page: 1 },
  { text: "  ", confidence: 0.1, page: 2 },
  { text: "Contrôler la pression.", confidence: 0.9, page: 3 },
];

interface Services {
  readonly textBlocks?: readonly object[];
  readonly images?: readonly { readonly path: string; readonly page: number }[];

  /** Instead of the answers of every day. */
  readonly open?: () => unknown;
  readonly extract?: () => unknown;
  readonly classify?: (call: HttpCall) => unknown;
  readonly embed?: (call: HttpCall) => unknown;
}

const fail = (status: number, detail: string) => () => {
  throw new HttpFailure(status, { detail });
};

/** document-processor, vision-classifier and vector-store, and the volume. */
function world({
  textBlocks = blocks,
  images = [],
  open = () => ({ success: true, pageCount: 3, textBlocks: [], images: [] }),
  extract = () => ({ success: true, pageCount: 3, textBlocks, images }),
  classify = () => ({ is_technical_diagram: false }),
  embed = () => ({ status: "success" }),
}: Services = {}) {
  const files = new Map<string, unknown>(images.map(({ path }) => [path, { mimeType: "image/png" }]));
  const http = (call: HttpCall) => {
    if (call.url.endsWith("/embed-text")) return embed(call);
    if (call.url.endsWith("/classify")) return classify(call);
    return (call.body as { extractText: boolean }).extractText ? extract() : open();
  };
  return { http, files };
}

type World = ReturnType<typeof world>;

const ingest = (given: World, binary: Item["binary"] = { file: pdf }) =>
  runWorkflow("technicia-ingestion", upload(binary), given);

const stored = ({ calls }: Run) => calls.filter(({ node }) => node === "Vectoriser").map(({ body }) => body);

/** What the cards in the volume say. */
function cards({ files }: World): Record<string, unknown>[] {
  return [...files]
    .filter(([path]) => path.endsWith(".json"))
    .map(
      ([, file]) =>
        JSON.parse(Buffer.from((file as { data: string }).data, "base64").toString()) as Record<
          string,
          unknown
        >,
    );
}

describe("the ingestion", () => {
  it("keeps the PDF, answers, has the text extracted, and stores each page's passages with their source", async () => {
    const given = world();
    const run = await ingest(given);
    const { document_id: id, ...body } = run.answer!.body as { document_id: string };
    const [card] = cards(given);
    const ingestion = String(card!["ingestion"]);

    expect(run.failure).toBeUndefined();
    expect(run.answer!.status).toBe(200);
    expect([id, ingestion]).toEqual([expect.stringMatching(ID), expect.stringMatching(ID)]);
    expect(body).toEqual({
      success: true,
      status: "processing",
      message: expect.any(String) as string,
    });
    expect(given.files.get(`/documents/${id}.pdf`)).toEqual(pdf);
    const order = { documentId: id, filePath: `/documents/${id}.pdf`, fileName: "Pompe.PDF" };
    expect(run.calls.slice(0, 2).map(({ method, url, body: sent }) => [method, url, sent])).toEqual([
      [
        "POST",
        "http://document-processor:8000/api/process",
        { ...order, extractText: false, extractImages: false },
      ],
      [
        "POST",
        "http://document-processor:8000/api/process",
        { ...order, outputPath: `/documents/${id}/${ingestion}`, extractText: true, extractImages: true },
      ],
    ]);
    const metadata = { document_id: id, document_name: "Pompe.PDF", ingestion };
    expect(stored(run)).toEqual([
      {
        text: "Purger le circuit. Ouvrir la vanne. Serrer à 12 Nm.",
        metadata: { ...metadata, page_number: 1, passage: 1 },
      },
      { text: "Contrôler la pression.", metadata: { ...metadata, page_number: 3, passage: 2 } },
    ]);
    expect(given.files.has(`/documents/${id}.${ingestion}.json`)).toBe(true);
    expect(card).toMatchObject({ ...metadata, state: "ready", pages: 3, passages: 2, images: 0 });
    expect(run.lines).toEqual([{ event: "document", passages: 2 }]);
  });

  it("has said that it runs before it answers, so that what is cut off is found", async () => {
    const seen: unknown[] = [];
    const given = world({
      extract: () => (seen.push(...cards(given)), { pageCount: 1, textBlocks: blocks }),
    });
    await ingest(given);

    expect(seen).toMatchObject([{ state: "running", document_name: "Pompe.PDF" }]);
  });

  it("stores what is read in technical diagrams, and leaves out pictures and what cannot be described", async () => {
    const images = [1, 2, 3].map((page) => ({ path: `/documents/d/i/images/${page}.png`, page }));
    const given = world({
      images: [...images, { path: "/gone.png", page: 4 }],
      classify: ({ files }) => {
        if ((files["file"] as { page: number }).page === 2) throw new Error("500");
        return (files["file"] as { page: number }).page === 1
          ? { is_technical_diagram: true, schema_type: "hydraulic", detected_text: "Pompe  P1\nvanne V3" }
          : { is_technical_diagram: false };
      },
    });
    for (const { path, page } of images) given.files.set(path, { page });
    given.files.delete("/gone.png");
    const run = await ingest(given);

    expect(run.failure).toBeUndefined();
    expect(stored(run)).toHaveLength(3);
    expect(stored(run)[2]).toMatchObject({
      text: "Schéma hydraulique : Pompe P1 vanne V3",
      metadata: { page_number: 1, passage: 3, schema_type: "hydraulic", image: "1.png" },
    });
    expect(cards(given)).toMatchObject([{ state: "ready", passages: 3, images: 4 }]);
  });

  it("cuts a long page between sentences, and a text without any between words, and loses nothing", async () => {
    const sentence = `${"mot ".repeat(40).trim()}. `;
    const [sentences, words, letters] = [
      sentence.repeat(30).trim(),
      "sans fin ".repeat(400).trim(),
      "x".repeat(4000),
    ];
    const textBlocks = [sentences, words, letters].map((text, index) => ({ text, page: index + 1 }));
    const run = await ingest(world({ textBlocks }));
    const passages = stored(run) as { text: string; metadata: { page_number: number } }[];
    const page = (number: number) =>
      passages.filter(({ metadata }) => metadata.page_number === number).map(({ text }) => text);

    expect(passages.every(({ text }) => text.length <= 1500)).toBe(true);
    expect(page(1).every((text) => text.endsWith("."))).toBe(true);
    expect(page(1).join(" ")).toBe(sentences);
    expect(page(2).join(" ")).toBe(words);
    expect(page(3).join("")).toBe(letters);
  });

  it.each([
    ["nothing", undefined, {}, "Aucun fichier reçu, ou un fichier vide"],
    ["another field", { document: pdf }, {}, "champ « file »"],
    ["two files", { file0: pdf, file1: pdf }, {}, "un seul fichier"],
    ["another kind of file", { file: { ...pdf, fileName: "notes.txt" } }, {}, "Seuls les fichiers PDF"],
    ["a file without a name", { file: { mimeType: "application/pdf" } }, {}, "Seuls les fichiers PDF"],
    ["200 MiB", { file: pdf }, { "content-length": String(200 * 1024 * 1024) }, "150 Mio"],
  ])("refuses %s with 400, and calls nothing", async (_what, binary, headers, reason) => {
    const run = await runWorkflow("technicia-ingestion", upload(binary, headers));

    expect(run.answer).toEqual({
      status: 400,
      body: { success: false, errors: [expect.stringContaining(reason)] },
    });
    expect(run.calls).toEqual([]);
    expect(run.failure).toBeUndefined();
  });

  it("refuses a PDF that nobody can read with the reason, and begins nothing", async () => {
    const told = world({ open: fail(422, "le PDF est protégé par un mot de passe") });
    const untold = world({ open: fail(422, "") });
    const [run, other] = [await ingest(told), await ingest(untold)];

    expect(run.answer).toEqual({
      status: 400,
      body: {
        success: false,
        errors: ["Le fichier n'est pas accepté : le PDF est protégé par un mot de passe."],
      },
    });
    expect(other.answer!.body).toEqual({ success: false, errors: ["Le fichier n'est pas un PDF lisible."] });
    expect(run.calls).toHaveLength(1);
    expect([run.failure, ...cards(told), ...cards(untold)]).toEqual([undefined]);
  });

  it.each([
    [
      "does not answer",
      () => {
        throw new Error("ECONNREFUSED http://intérieur");
      },
      /^Contrôler : ECONNREFUSED/,
    ],
    ["fails", fail(500, "panne à http://intérieur"), /^Juger : document-processor répond 500/],
  ])(
    "answers 502 without a cause where document-processor %s, and the cause goes to the workflow of errors",
    async (_, open, cause) => {
      const given = world({ open });
      const run = await ingest(given);

      expect(run.answer).toEqual({
        status: 502,
        body: { success: false, errors: [expect.stringContaining("Réessayez")] },
      });
      expect(JSON.stringify(run.answer)).not.toContain("intérieur");
      expect(run.failure).toMatch(cause);
      expect(cards(given)).toEqual([]);
    },
  );

  it("answers 502 where the volume is full", async () => {
    const given = world();
    const full = {
      ...given,
      files: Object.assign(given.files, {
        set: () => {
          throw new Error("ENOSPC");
        },
      }),
    };
    const run = await ingest(full);

    expect([run.answer!.status, run.failure]).toEqual([502, "Garder : ENOSPC"]);
  });

  it.each([
    ["has no text", { textBlocks: [] }, /^Aucun texte lisible dans le document /],
    ["cannot be extracted", { extract: fail(500, "Google répond 503") }, /^500 - .*Google répond 503/],
  ])(
    "says in the card that it failed where the document %s, so that the server removes it",
    async (_, services, cause) => {
      const given = world(services);
      const run = await ingest(given);

      expect(run.failure).toMatch(cause);
      expect(run.answer!.status).toBe(200);
      expect(cards(given)).toMatchObject([
        { state: "failed", document_name: "Pompe.PDF", reason: expect.stringMatching(/ : /) as string },
      ]);
    },
  );

  it("tries a passage three times, and fails when one of them is not stored", async () => {
    let calls = 0;
    const flaky = world({
      embed: () => {
        calls += 1;
        if (calls < 3) throw new Error("500");
        return { status: "success" };
      },
    });
    const recovered = await ingest(flaky);
    const half = world({
      embed: ({ body }) => ({ status: JSON.stringify(body).includes("pression") ? "error" : "success" }),
    });
    const partial = await ingest(half);
    const none = world({ embed: fail(500, "VoyageAI") });
    await ingest(none);

    expect(recovered.failure).toBeUndefined();
    expect(stored(recovered)).toHaveLength(4);
    expect(partial.failure).toMatch(/1 passages indexés sur 2\.$/);
    expect([...cards(half), ...cards(none)]).toMatchObject([
      { state: "failed", reason: expect.stringMatching(/^Compter : /) as string },
      { state: "failed", reason: expect.stringMatching(/^Vectoriser : .*VoyageAI/) as string },
    ]);
  });
});

describe("another ingestion of a document", () => {
  const again = (body: unknown, given: World) =>
    runWorkflow("technicia-ingestion", request(body), { ...given, trigger: "Webhook de réindexation" });

  it("reads the PDF that was kept, under the same id and with a card of its own", async () => {
    const given = world();
    const { document_id: id } = (await ingest(given)).answer!.body as { document_id: string };
    const run = await again({ documentId: id, documentName: "Pompe.PDF" }, given);
    const { ingestion } = run.answer!.body as { ingestion: string };

    expect(run.failure).toBeUndefined();
    expect(run.answer).toMatchObject({ status: 200, body: { success: true, document_id: id } });
    expect(run.calls[0]!.body).toMatchObject({ filePath: `/documents/${id}.pdf`, extractText: true });
    expect(cards(given)).toMatchObject([{ state: "ready" }, { state: "ready", document_id: id, ingestion }]);
    expect(new Set(cards(given).map((card) => card["ingestion"])).size).toBe(2);
    expect(stored(run)[0]).toMatchObject({ metadata: { document_id: id, ingestion } });
  });

  it.each([[{}], [{ documentId: "../etc", documentName: "x" }], [{ documentId: "a" }]])(
    "is refused for %j",
    async (body) => {
      const run = await again(body, world());
      expect([run.answer, run.calls, run.failure]).toEqual([undefined, [], expect.stringMatching(/attendu/)]);
    },
  );
});

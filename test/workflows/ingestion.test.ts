import { describe, expect, it } from "vitest";

import { runWorkflow, type HttpCall, type Item, type Run } from "./n8n.ts";

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

function services(
  textBlocks: readonly object[],
  embed: (call: HttpCall) => unknown = () => ({ status: "success" }),
) {
  return (call: HttpCall) =>
    call.url.endsWith("/embed-text") ? embed(call) : { success: true, documentId: "autre", textBlocks };
}

const stored = ({ calls }: Run) => calls.filter(({ node }) => node === "Vectoriser").map(({ body }) => body);

describe("the ingestion", () => {
  it("answers at once, has the text extracted, and stores each page's passages with their source", async () => {
    const run = await runWorkflow("technicia-ingestion", upload({ file: pdf }), { http: services(blocks) });
    const { document_id: id, ...body } = run.answer!.body as { document_id: string };

    expect(run.failure).toBeUndefined();
    expect(run.answer!.status).toBe(200);
    expect(id).toMatch(ID);
    expect(body).toMatchObject({
      success: true,
      status: "processing",
      message: expect.any(String) as string,
    });
    expect(run.calls[0]).toMatchObject({
      method: "POST",
      url: "http://document-processor:8000/process-file",
      files: { file: pdf },
    });
    const metadata = { document_id: id, document_name: "Pompe.PDF" };
    expect(stored(run)).toEqual([
      {
        text: "Purger le circuit. Ouvrir la vanne. Serrer à 12 Nm.",
        metadata: { ...metadata, page_number: 1, passage: 1 },
      },
      { text: "Contrôler la pression.", metadata: { ...metadata, page_number: 3, passage: 2 } },
    ]);
    expect(run.results.get("Compter")![0]!.json).toEqual({ documentId: id, passages: 2 });
    expect(run.lines).toEqual([{ event: "document", passages: 2 }]);
  });

  it("cuts a long page between sentences, and a text without any between words, and loses nothing", async () => {
    const sentence = `${"mot ".repeat(40).trim()}. `;
    const [sentences, words, letters] = [
      sentence.repeat(30).trim(),
      "sans fin ".repeat(400).trim(),
      "x".repeat(4000),
    ];
    const given = [sentences, words, letters].map((text, index) => ({ text, page: index + 1 }));
    const run = await runWorkflow("technicia-ingestion", upload({ file: pdf }), { http: services(given) });
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
    ["nothing", undefined, {}, "Aucun fichier reçu"],
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

  it("fails, so that the workflow of errors learns it, when the document has no text or cannot be extracted", async () => {
    const empty = await runWorkflow("technicia-ingestion", upload({ file: pdf }), { http: services([]) });
    const broken = await runWorkflow("technicia-ingestion", upload({ file: pdf }), {
      http: () => {
        throw new Error("500 - Erreur lors du traitement");
      },
    });

    expect(empty.failure).toMatch(/^Aucun texte lisible dans le document /);
    expect(broken.failure).toBe("500 - Erreur lors du traitement");
  });

  it("tries a passage three times, and fails when one of them is not stored", async () => {
    let calls = 0;
    const flaky = services(blocks, () => {
      calls += 1;
      if (calls < 3) throw new Error("500");
      return { status: "success" };
    });
    const recovered = await runWorkflow("technicia-ingestion", upload({ file: pdf }), { http: flaky });
    const partial = await runWorkflow("technicia-ingestion", upload({ file: pdf }), {
      http: services(blocks, ({ body }) => ({
        status: JSON.stringify(body).includes("pression") ? "error" : "success",
      })),
    });

    expect(recovered.failure).toBeUndefined();
    expect(stored(recovered)).toHaveLength(4);
    expect(partial.failure).toMatch(/1 passages indexés sur 2\.$/);
  });
});

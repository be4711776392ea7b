import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { decode, encode } from "fast-png";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { MANUAL, MANUAL_PAGES } from "../../../rehearsal/documents/hydraulic-purge.ts";
import { renderPdf } from "../../../rehearsal/documents/render.ts";
import { away } from "../../../rehearsal/fake-clouds/google/errors.ts";
import { googleApi } from "../../../rehearsal/fake-clouds/google/server.ts";
import { freePorts } from "../../support/free-ports.ts";
import { ensurePython, type Python } from "../../support/python.ts";
import { until } from "../../support/until.ts";
import { type HttpCall, HttpFailure, runWorkflow } from "../../workflows/n8n.ts";
import { createAccount } from "../fake-clouds/google/account.ts";
import { type Answered, send, serve, type Served } from "../fake-clouds/serving.ts";

const IMAGES = join(import.meta.dirname, "../../../rehearsal/images");
const PROCESSOR = { project: "technicia-1234", location: "eu", id: "0123456789abcdef" } as const;
const { account, credentials } = createAccount();

let python: Python;
let folder: string;
let google: Served;
const children: ChildProcess[] = [];

// The first time on a machine it installs packages.
beforeAll(async () => {
  python = await ensurePython();
}, 600_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-services-"));
  await writeFile(join(folder, "key.json"), credentials);
  google = await serve((clock) => googleApi({ accounts: [account], processors: [PROCESSOR], clock }));
});
afterEach(async () => {
  for (const child of children.splice(0).filter(({ exitCode }) => exitCode === null)) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await rm(folder, { recursive: true });
});

/** Starts a service as its image does, with Google's fake in place of Google. Returns its address. */
async function start(service: string, changes: Record<string, string> = {}): Promise<string> {
  const [port = 0] = await freePorts(1);
  let said = "";
  const started = spawn(
    python.program,
    ["-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", String(port)],
    {
      cwd: join(IMAGES, service),
      env: {
        ...python.environment,
        VERSION: "1.0.0",
        TEMP_DIR: join(folder, "temp"),
        GOOGLE_APPLICATION_CREDENTIALS: join(folder, "key.json"),
        DOCUMENT_AI_PROJECT: PROCESSOR.project,
        DOCUMENT_AI_LOCATION: PROCESSOR.location,
        DOCUMENT_AI_PROCESSOR_ID: PROCESSOR.id,
        GOOGLE_TOKEN_URL: `${google.origin}/token`,
        DOCUMENT_AI_URL: google.origin,
        VISION_URL: google.origin,
        GOOGLE_PAUSE_SECONDS: "0",
        ...changes,
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  children.push(started);
  for (const stream of [started.stdout, started.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const origin = `http://127.0.0.1:${port}`;
  await until(`${service} answers`, async () => {
    if (started.exitCode !== null) throw new Error(`${service} ended with ${started.exitCode}: ${said}`);
    return fetch(`${origin}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  return origin;
}

async function upload(
  url: string,
  bytes: Uint8Array,
  { name = "manuel.pdf", type = "application/pdf" } = {},
): Promise<Answered> {
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(bytes)], { type }), name);
  const answer = await fetch(url, { method: "POST", body: form });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

interface Result {
  readonly documentId: string;
  readonly pageCount: number;
  readonly textBlocks: readonly { readonly text: string; readonly page: number }[];
  readonly images: readonly { readonly id: string; readonly path: string; readonly page: number }[];
}
const processings = () => google.calls.lines("google").filter((line) => line.endsWith(":process"));
const manual = async () => new Uint8Array(await readFile(MANUAL));
const detailOf = ({ body }: Answered) => (body as { detail: string }).detail;

const UNREADABLE: [what: string, make: () => Promise<Uint8Array>, told: string][] = [
  [
    "is none",
    () => Promise.resolve(new Uint8Array(Buffer.from("rien"))),
    "le PDF est illisible ou endommagé",
  ],
  ["is empty", () => Promise.resolve(new Uint8Array()), "le fichier est vide"],
  ["is damaged", async () => (await manual()).slice(0, 300), "le PDF est illisible ou endommagé"],
  [
    "has a password",
    () => renderPdf(MANUAL_PAGES, { title: "Fermé", password: "secret" }),
    "le PDF est protégé par un mot de passe",
  ],
];

interface Stored {
  readonly text: string;
  readonly metadata: { readonly page_number: number; readonly ingestion: string };
}

/** The real document-processor and vision-classifier for the workflow; `/documents` is the test's folder. */
async function ingestionServices() {
  const [processor, classifier] = [await start("document-processor"), await start("vision-classifier")];
  const stored: Stored[] = [];
  const here = (path: string) => path.replace("/documents", folder);
  const http = async ({ url, body, files }: HttpCall): Promise<unknown> => {
    if (url.endsWith("/embed-text")) {
      stored.push(body as Stored);
      return { status: "success" };
    }
    const answer = url.endsWith("/classify")
      ? await upload(`${classifier}/classify`, files["file"] as Uint8Array, {
          name: "image.png",
          type: "image/png",
        })
      : await send(`${processor}/api/process`, {
          body: JSON.parse(here(JSON.stringify(body)).replaceAll('"/documents', `"${folder}`)) as object,
        });
    if (answer.status !== 200) throw new HttpFailure(answer.status, answer.body);
    return JSON.parse(JSON.stringify(answer.body).replaceAll(folder, "/documents"));
  };
  const files = {
    has: (path: string) => existsSync(here(path)),
    get: (path: string) => (path === "full" ? undefined : readFileSync(here(path))),
    set(path: string, file: { readonly data: string }) {
      writeFileSync(here(path), Buffer.from(file.data, "base64"));
    },
  };
  return { http, files: files as unknown as Map<string, unknown>, stored };
}

async function ingest(world: Awaited<ReturnType<typeof ingestionServices>>, bytes: Uint8Array) {
  const file = { fileName: "CH-40.pdf", data: Buffer.from(bytes).toString("base64") };
  return await runWorkflow("technicia-ingestion", { json: { headers: {} }, binary: { file } }, world);
}

describe("the document-processor", () => {
  it("gives the text of a PDF, page by page, and its images", async () => {
    const origin = await start("document-processor");
    const answer = await upload(`${origin}/process-file`, await manual());
    const { documentId, images, textBlocks } = answer.body as Result;

    expect(answer.body).toMatchObject({
      success: true,
      fileName: "manuel.pdf",
      pageCount: 3,
      processingDetails: { documentAiModel: "default", mimeType: "application/pdf" },
    });
    expect(textBlocks.map(({ page }) => page)).toEqual([...textBlocks.map(({ page }) => page)].sort());
    const words = textBlocks.map(({ text, page }) => [text.replaceAll("\n", " "), page]);
    expect(words).toContainEqual([MANUAL_PAGES[1]?.paragraphs[0], 2]);
    expect(words).toContainEqual([MANUAL_PAGES[2]?.heading, 3]);
    expect(images).toMatchObject([{ id: `img-${documentId}-p2-1`, page: 2, width: 320, height: 180 }]);
    expect(decode(await readFile(images[0]?.path ?? "")).width).toBe(320);
  });

  it("has a document of 65 pages read in pieces that Document AI accepts, with one token", async () => {
    const pages = Array.from({ length: 65 }, (_, at) => ({ heading: `Page ${at + 1}`, paragraphs: [] }));
    const origin = await start("document-processor");
    const answer = await upload(`${origin}/process`, await renderPdf(pages, { title: "Long" }));

    expect((answer.body as Result).textBlocks.map(({ text, page }) => [text, page])).toEqual(
      pages.map(({ heading }, at) => [heading, at + 1]),
    );
    expect(processings()).toHaveLength(3);
    expect(google.calls.lines("google").filter((line) => line === "POST /token")).toHaveLength(1);
  });

  it("is what the workflow of the ingestion needs, together with the vision-classifier and the volume", async () => {
    const services = await ingestionServices();
    const run = await ingest(services, await manual());

    expect(run.failure).toBeUndefined();
    expect(run.answer?.status).toBe(200);
    const pages = services.stored.map(({ metadata }) => metadata.page_number);
    expect(pages.slice(0, 3)).toEqual([1, 2, 3]);
    expect(services.stored[1]?.text).toContain("Pour purger le circuit hydraulique");
    const { document_id: id } = run.answer?.body as { document_id: string };
    const { ingestion } = services.stored[0]!.metadata;
    expect(existsSync(join(folder, `${id}.pdf`))).toBe(true);
    expect(existsSync(join(folder, `${id}/${ingestion}/images/img-${id}-p2-1.png`))).toBe(true);
    expect(JSON.parse(await readFile(join(folder, `${id}.${ingestion}.json`), "utf8"))).toMatchObject({
      ...{ state: "ready", pages: 3, images: 1, passages: services.stored.length },
    });
    expect(run.results.get("Classer")?.map(({ json }) => json)).toMatchObject([
      { is_technical_diagram: expect.any(Boolean) as boolean },
    ]);
  });

  it.each(UNREADABLE)(
    "has the workflow refuse a PDF that %s with 400 and the reason",
    async (_, make, told) => {
      const services = await ingestionServices();
      const run = await ingest(services, await make());

      expect(run.answer).toEqual({
        status: 400,
        body: { success: false, errors: [expect.stringContaining(told)] },
      });
      expect([run.failure, services.stored, processings()]).toEqual([undefined, [], []]);
    },
  );

  it.each(UNREADABLE)(
    "answers 422 with the reason for a PDF that %s, and asks Google nothing",
    async (_, make, told) => {
      const origin = await start("document-processor");
      const answer = await upload(`${origin}/process-file`, await make());

      expect([answer.status, detailOf(answer)]).toEqual([422, told]);
      expect(processings()).toEqual([]);
    },
  );

  it("asks again while Google is away, and gives up with Google's words", async () => {
    const origin = await start("document-processor");
    google.faults.add(away("UNAVAILABLE", { path: ":process$", times: 2 }));
    expect((await upload(`${origin}/process-file`, await manual())).status).toBe(200);
    expect(processings()).toHaveLength(3);

    google.faults.clear();
    google.faults.add(away("RESOURCE_EXHAUSTED", { path: ":process$", times: 0 }));
    const refused = await upload(`${origin}/process-file`, await manual());
    expect([refused.status, detailOf(refused)]).toEqual([500, expect.stringContaining("RESOURCE_EXHAUSTED")]);
    expect(processings()).toHaveLength(6);
  });

  it("answers 500 without saying the key where Google refuses it", async () => {
    await writeFile(join(folder, "key.json"), createAccount().credentials);
    const origin = await start("document-processor");
    const answer = await upload(`${origin}/process-file`, await manual());

    expect([answer.status, detailOf(answer)]).toEqual([500, expect.stringContaining("invalid_grant")]);
    expect(JSON.stringify(answer.body)).not.toContain("PRIVATE KEY");
  });

  it("reads a file of its own container, with images only where they are wanted", async () => {
    const origin = await start("document-processor");
    const order = { documentId: "d1", filePath: MANUAL, outputPath: join(folder, "out") };
    const url = `${origin}/api/process`;
    const both = (await send(url, { body: order })).body as Result;
    const text = (await send(url, { body: { ...order, extractImages: false } })).body as Result;

    expect(both).toMatchObject({ documentId: "d1", fileName: "hydraulic-purge.pdf" });
    expect(both.images.map(({ path }) => path)).toEqual([join(folder, "out/images/img-d1-p2-1.png")]);
    expect(existsSync(both.images[0]?.path ?? "")).toBe(true);
    expect([text.images, text.textBlocks.length]).toEqual([[], both.textBlocks.length]);
    expect((await send(url, { body: { ...order, filePath: "/none.pdf" } })).status).toBe(404);
    expect((await send(url, { body: { ...order, filePath: folder } })).status).toBe(400);
    expect((await send(url, { body: {} })).status).toBe(422);
  });

  it("is healthy without Google and says so", async () => {
    const origin = await start("document-processor", {
      DOCUMENT_AI_PROJECT: "",
      GOOGLE_APPLICATION_CREDENTIALS: "/none.json",
    });

    expect((await send(`${origin}/health`)).body).toMatchObject({
      status: "healthy",
      google_cloud_configured: false,
      active_tasks: 0,
    });
    expect((await upload(`${origin}/process`, await manual())).status).toBe(500);
    expect((await upload(`${origin}/process`, await manual(), { name: "notes.txt" })).status).toBe(400);
  });
});

describe("the vision-classifier", () => {
  const drawing = (title: string) =>
    encode({
      ...{ width: 64, height: 64, channels: 3, depth: 8, text: { Title: title } },
      data: new Uint8Array(64 * 64 * 3).fill(255),
    });

  it("recognizes a diagram, its type by the words in it, and its colours", async () => {
    const origin = await start("vision-classifier");
    const bytes = drawing("Schéma hydraulique : pompe, vérin et vanne");
    const answer = await upload(`${origin}/classify`, bytes, { name: "p.png", type: "image/png" });
    const encoded = await send(`${origin}/classify-base64`, {
      body: { image: `data:image/png;base64,${Buffer.from(bytes).toString("base64")}` },
    });

    expect(answer).toMatchObject({
      status: 200,
      body: {
        is_technical_diagram: true,
        schema_type: "hydraulic",
        confidence: 0.6,
        detected_text: "Schéma hydraulique : pompe, vérin et vanne",
        dominant_colors: [{ red: 255, green: 255, blue: 255, score: 1, pixel_fraction: 1 }],
        processing_time: expect.any(Number) as number,
      },
    });
    expect((encoded.body as { schema_type: string }).schema_type).toBe("hydraulic");
  });

  it("answers 500 for what Vision cannot decode, and 400 for what is no image", async () => {
    const origin = await start("vision-classifier");
    const bytes = new Uint8Array(Buffer.from("x"));
    const asImage = await upload(`${origin}/classify`, bytes, { name: "x.png", type: "image/png" });

    expect([asImage.status, detailOf(asImage)]).toEqual([500, expect.stringContaining("Bad image data.")]);
    expect((await upload(`${origin}/classify`, bytes, { type: "text/plain" })).status).toBe(400);
    expect((await send(`${origin}/classify-base64`, { body: { image: "***" } })).status).toBe(400);
  });

  it("does not start without a readable key", async () => {
    await expect(
      start("vision-classifier", { GOOGLE_APPLICATION_CREDENTIALS: "/none.json" }),
    ).rejects.toThrow(/ended with 1: .*none\.json/s);
  });
});

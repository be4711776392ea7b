/** Document AI: one processor that reads PDFs. */
import type { ApiRequest, Params } from "../api/routes.ts";
import { badField, GoogleError } from "./errors.ts";
import { type PdfPage, readPdf } from "./pdf.ts";

/** A processor of an account. */
export interface Processor {
  readonly project: string;
  readonly location: "eu" | "us";
  readonly id: string;
  /** @default "ENABLED" */
  readonly state?: "ENABLED" | "DISABLED";
}

/** Limits of one synchronous request. */
const MOST_BYTES = 40 * 1024 * 1024;
const MOST_PAGES = 15;
const MOST_PAGES_IMAGELESS = 30;
/** What a text layer says is certain; a real one is sure of a clear scan to this degree. */
const CONFIDENCE = 0.99;

/** Host of a location's endpoint. The one without a location is that of `us`. */
export const DOCUMENT_AI_HOSTS = {
  "eu-documentai.googleapis.com": "eu",
  "us-documentai.googleapis.com": "us",
  "documentai.googleapis.com": "us",
} as const;

export function findProcessor(
  processors: readonly Processor[],
  { request, params }: { readonly request: ApiRequest; readonly params: Params },
): Processor {
  const { project = "", location = "", id = "" } = params;
  const [host = ""] = (request.headers["host"] ?? "").split(":");
  const served = (DOCUMENT_AI_HOSTS as Readonly<Record<string, string>>)[host];
  if (served !== undefined && served !== location) {
    throw new GoogleError(
      "INVALID_ARGUMENT",
      `Invalid location: '${location}' must match the server deployment '${served}'. See https://cloud.google.com/document-ai/docs/regions.`,
    );
  }
  const found = processors.find(
    (one) => one.project === project && one.location === location && one.id === id,
  );
  if (found !== undefined) return found;
  if (!processors.some((one) => one.project === project)) {
    throw new GoogleError(
      "PERMISSION_DENIED",
      `Permission 'documentai.processors.get' denied on resource '//documentai.googleapis.com/${nameOf({ project, location, id })}' ` +
        "(or it may not exist).",
    );
  }
  throw new GoogleError("NOT_FOUND", `Processor "${nameOf({ project, location, id })}" not found.`);
}

function nameOf({ project, location, id }: { project: string; location: string; id: string }): string {
  return `projects/${project}/locations/${location}/processors/${id}`;
}

export function renderProcessor(processor: Processor): unknown {
  const name = nameOf(processor);
  return {
    name,
    type: "OCR_PROCESSOR",
    displayName: "technicia",
    state: processor.state ?? "ENABLED",
    defaultProcessorVersion: `${name}/processorVersions/pretrained-ocr-v2.0-2023-06-02`,
    processEndpoint: `https://${processor.location}-documentai.googleapis.com/v1/${name}:process`,
    createTime: "2026-01-05T09:00:00Z",
  };
}

interface ProcessRequest {
  readonly rawDocument?: { readonly content?: unknown; readonly mimeType?: unknown };
  readonly imagelessMode?: unknown;
}

/** Reads one document. @throws GoogleError as Document AI words it */
export async function processDocument(processor: Processor, body: ProcessRequest): Promise<unknown> {
  if ((processor.state ?? "ENABLED") !== "ENABLED")
    throw new GoogleError("INVALID_ARGUMENT", `Processor ${nameOf(processor)} is not enabled.`);
  const { rawDocument, imagelessMode = false } = body;
  if (rawDocument === undefined)
    throw badField("source", "One of inline_document, raw_document or gcs_document is required.");
  const { content, mimeType } = rawDocument;
  if (mimeType !== "application/pdf")
    throw badField("raw_document.mime_type", `Unsupported input file format: ${String(mimeType)}.`);
  if (typeof content !== "string" || content === "")
    throw badField("raw_document.content", "Document content is empty.");
  const bytes = Buffer.from(content, "base64");
  if (bytes.length > MOST_BYTES)
    throw badField(
      "raw_document.content",
      `Document size (${bytes.length}) exceeds the limit: ${MOST_BYTES}.`,
    );
  const most = imagelessMode === true ? MOST_PAGES_IMAGELESS : MOST_PAGES;
  const pdf = await readPdf(new Uint8Array(bytes), most);
  if (pdf === undefined)
    throw new GoogleError(
      "INVALID_ARGUMENT",
      "Unable to process the document: it is corrupted or encrypted.",
    );
  if (pdf.count > most) throw tooManyPages(pdf.count, { most, isImageless: imagelessMode === true });
  return { document: renderDocument(pdf.pages), humanReviewStatus: { state: "SKIPPED" } };
}

function tooManyPages(
  pages: number,
  { most, isImageless }: { readonly most: number; readonly isImageless: boolean },
): GoogleError {
  const message = isImageless
    ? `Document pages in imageless mode exceed the limit: ${most} got ${pages}.`
    : `Document pages in non-imageless mode exceed the limit: ${most} got ${pages}. ` +
      `Try using imageless mode to increase the limit to ${MOST_PAGES_IMAGELESS}.`;
  return new GoogleError("INVALID_ARGUMENT", message, [
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "PAGE_LIMIT_EXCEEDED",
      domain: "documentai.googleapis.com",
      metadata: { page_limit: String(most), pages: String(pages) },
    },
  ]);
}

/** Google's `Document`: one text, and anchors into it that count its characters. */
function renderDocument(pages: readonly PdfPage[]): unknown {
  let text = "";
  let length = 0;
  const add = (piece: string) => {
    const start = length;
    text += piece;
    length += [...piece].length;
    return layout(start, length);
  };
  const rendered = pages.map(({ width, height, paragraphs }, index) => {
    const start = length;
    const lines: unknown[] = [];
    const blocks = paragraphs.map((paragraph) => {
      const from = length;
      for (const line of paragraph) lines.push({ layout: add(`${line}\n`) });
      return { layout: layout(from, length) };
    });
    return {
      pageNumber: index + 1,
      dimension: { width, height, unit: "points" },
      layout: layout(start, length),
      detectedLanguages: [{ languageCode: "fr", confidence: CONFIDENCE }],
      ...(blocks.length > 0 && { blocks, paragraphs: blocks, lines }),
    };
  });
  return { uri: "", mimeType: "application/pdf", text, pages: rendered };
}

/** Indexes are 64 bits wide, so Google writes them as texts; and 0 not at all. */
function layout(start: number, end: number): unknown {
  const segments =
    end === start ? [] : [{ ...(start > 0 && { startIndex: String(start) }), endIndex: String(end) }];
  return {
    textAnchor: segments.length > 0 ? { textSegments: segments } : {},
    confidence: CONFIDENCE,
    orientation: "PAGE_UP",
  };
}

/** One question from end to end: a document of ours is uploaded over HTTPS, asked about, and removed with all that belongs to it. */
import { z } from "zod";

import { parseJson } from "../../../common/parse-json.ts";
import { until } from "../../../common/until.ts";
import { UserError } from "../../../common/user-error.ts";
import type { Server } from "../../server/connection.ts";
import {
  callDocuments,
  counted,
  deleted,
  document,
  documents,
  type UploadedDocument,
} from "../../uploads/program.ts";
import { askPublic, type PublicSite } from "../public/gateway.ts";
import { isMarked, type MarkedDocument } from "./marked-document.ts";

export interface Reached {
  readonly site: PublicSite;
  readonly server: Pick<Server, "name" | "run">;

  /** As long as the gateway waits, in seconds. */
  readonly timeouts: { readonly uploadSeconds: number; readonly answerSeconds: number };
}

/** In milliseconds. */
export interface Hops {
  readonly uploadMs: number;

  /** From the answer to the upload until the document can be asked about. */
  readonly indexingMs: number;
  readonly answerMs: number;

  /** Parts of the answer; undefined where the workflow does not say. */
  readonly searchMs: number | undefined;
  readonly modelMs: number | undefined;
}

export interface Answered {
  readonly hops: Hops;
  readonly pages: number;

  /** What is wrong with the answer, in French; empty where nothing is. */
  readonly problems: readonly string[];
}

/** What people are promised: a document can be asked about after two minutes. */
const INDEXING_SECONDS = 120;
const POLL_MILLISECONDS = 300;
const PROGRAM_SECONDS = 120;

const accepted = z.looseObject({ success: z.literal(true), document_id: z.string() });

const answered = z.looseObject({
  answer: z.string(),
  sources: z
    .array(z.looseObject({ documentId: z.string().nullable(), page: z.number().nullable() }))
    .default([]),
  timings: z.looseObject({ searchMs: z.number().optional(), modelMs: z.number().optional() }).default({}),
});

/** @throws UserError where there is no answer to judge; French */
export async function tryQuestion(
  marked: MarkedDocument,
  reached: Reached & { readonly isFast: (hops: Hops) => boolean; readonly signal: AbortSignal },
): Promise<Answered> {
  const { server, signal, isFast } = reached;
  const { id, milliseconds: uploadMs } = await upload(marked, reached);
  const began = performance.now();
  const indexed = await untilIndexed(server, { id, signal });
  if (indexed.state !== "ready" || indexed.points === 0)
    throw new UserError(
      `document téléversé, mais pas indexé : ${indexed.problems.join(" ; ") || indexed.state}`,
    );
  const indexingMs = elapsed(began);
  const question = async () => {
    const { hops, problems } = await ask(marked, { ...reached, id });
    return { hops: { uploadMs, indexingMs, ...hops }, pages: indexed.pages, problems };
  };
  const first = await question();
  if (first.problems.length > 0 || isFast(first.hops)) return first;
  // The first one after a start opens connections; the next one is what people wait for.
  const second = await question();
  return second.problems.length > 0 || second.hops.answerMs < first.hops.answerMs ? second : first;
}

async function upload(
  { title, pdf }: MarkedDocument,
  { site, timeouts, signal }: Reached & { readonly signal: AbortSignal },
): Promise<{ readonly id: string; readonly milliseconds: number }> {
  const form = new FormData();
  form.set("file", new Blob([new Uint8Array(pdf)], { type: "application/pdf" }), title);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeouts.uploadSeconds * 1000)]);
  const began = performance.now();
  const { status, text } = await askPublic(site, {
    path: "/api/upload",
    method: "POST",
    form,
    signal: limit,
  });
  const milliseconds = elapsed(began);
  const answer = accepted.safeParse(parseJson(text));
  if (status !== 200 || !answer.success)
    throw new UserError(
      `POST /api/upload : attendu 200 et document_id, trouvé ${status} ${text.slice(0, 200)}`,
    );
  if (isSimulated(answer.data)) throw new UserError("POST /api/upload : réponse simulée");
  return { id: answer.data.document_id, milliseconds };
}

async function ask(
  { question, fact }: MarkedDocument,
  { site, timeouts, id, signal }: Reached & { readonly id: string; readonly signal: AbortSignal },
): Promise<{
  readonly hops: Pick<Hops, "answerMs" | "searchMs" | "modelMs">;
  readonly problems: readonly string[];
}> {
  // Whatever else has been uploaded, and however near it is: the answer is to come from this document.
  const filters = { must: [{ key: "document_id", match: { value: id } }] };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeouts.answerSeconds * 1000)]);
  const began = performance.now();
  const json = JSON.stringify({ question, filters });
  const { status, text } = await askPublic(site, {
    path: "/api/question",
    method: "POST",
    json,
    signal: limit,
  });
  const answerMs = elapsed(began);
  const body = parseJson(text);
  const read = answered.safeParse(body);
  if (status !== 200 || !read.success)
    throw new UserError(
      `POST /api/question : attendu 200 et une réponse, trouvé ${status} ${text.slice(0, 200)}`,
    );
  const { answer, sources, timings } = read.data;
  const problems = [
    ...(isSimulated(body) ? ["réponse simulée"] : []),
    ...(answer.trim() === "" ? ["réponse vide"] : []),
    ...(sources.some(({ documentId }) => documentId === id)
      ? []
      : ["réponse sans le document parmi ses sources"]),
    // A model may answer from what it has never read.
    ...(answer.trim() === "" || answer.includes(fact) ? [] : ["réponse sans ce que dit le document"]),
  ];
  return { hops: { answerMs, searchMs: timings.searchMs, modelMs: timings.modelMs }, problems };
}

/** As the team's earlier workflows marked results that they had made up, at any depth. */
function isSimulated(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(
    ([name, inner]) => (name === "simulated" && inner !== false) || isSimulated(inner),
  );
}

/** How it is when it is no longer being indexed. */
async function untilIndexed(
  server: Reached["server"],
  { id, signal }: { readonly id: string; readonly signal?: AbortSignal },
): Promise<UploadedDocument> {
  const look = async () => {
    const found = await call(server, {
      purpose: `look at the document ${id}`,
      words: ["show", id],
      answer: document,
    });
    return found.state !== "running" && found;
  };
  return await until(look, {
    every: POLL_MILLISECONDS,
    limit: INDEXING_SECONDS * 1000,
    late: () =>
      new UserError(`le document n'est pas consultable ${INDEXING_SECONDS} s après son téléversement`),
    ...(signal && { signal }),
  });
}

/** Removes what this verification and others before it have uploaded, also where its ingestion has just begun. */
export async function removeMarked(server: Reached["server"]): Promise<void> {
  const listed = await call(server, { purpose: "list the documents", words: ["list"], answer: documents });
  for (const { id } of listed.filter(({ title }) => isMarked(title))) {
    await untilIndexed(server, { id });
    await call(server, { purpose: `delete the document ${id}`, words: ["delete", id], answer: deleted });
  }
}

export async function countPoints(server: Reached["server"]): Promise<number> {
  return (await call(server, { purpose: "count the points", words: ["count"], answer: counted })).points;
}

async function call<T>(
  server: Reached["server"],
  asked: { readonly purpose: string; readonly words: readonly string[]; readonly answer: z.ZodType<T> },
): Promise<T> {
  return await callDocuments(server, { ...asked, timeoutSeconds: PROGRAM_SECONDS, say: () => undefined });
}

function elapsed(began: number): number {
  return Math.round(performance.now() - began);
}

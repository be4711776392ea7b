/** The end of `npm start`: the manual is uploaded over HTTPS, a question is asked about it, and the answer names its source. */
import { readFile } from "node:fs/promises";
import https from "node:https";
import { basename, join } from "node:path";

import { z } from "zod";

import { parseJson } from "../common/parse-json.ts";
import { until } from "../common/until.ts";
import { UserError } from "../common/user-error.ts";
import { DATACENTRE, STATE } from "./addresses.ts";
import { MANUAL, MANUAL_QUESTION } from "./documents/hydraulic-purge.ts";

/** Where the public address answers, and which authority (PEM) its certificate is from. */
export interface Entry {
  readonly url: string;
  readonly address: string;
  readonly port: number;
  readonly authority: string;
}

export interface Shown {
  readonly question: string;
  readonly answer: string;

  /** Title and page, such as `hydraulic-purge.pdf, page 2`. */
  readonly sources: readonly string[];

  /** What each step took, in milliseconds; without the upload's where the manual was there. */
  readonly hops: readonly (readonly [name: string, milliseconds: number])[];
}

/** In milliseconds. */
interface Wait {
  readonly every: number;
  readonly limit: number;
}

/** What people are promised: a document can be asked about after two minutes. */
const WAIT: Wait = { every: 1000, limit: 120_000 };

/** As long as the gateway waits for n8n. */
const ANSWER_MS = 120_000;

const accepted = z.looseObject({ document_id: z.string() });

const answered = z.looseObject({
  answer: z.string().min(1),
  sources: z.array(z.looseObject({ title: z.string().nullable(), page: z.number().nullable() })),
  timings: z.looseObject({ searchMs: z.number().optional(), modelMs: z.number().optional() }).default({}),
});

type Answered = z.output<typeof answered>;

interface Asked {
  readonly body: Answered;
  readonly milliseconds: number;
}

const TITLE = basename(MANUAL);

export async function rehearsedEntry(url: string): Promise<Entry> {
  const authority = await readFile(join(STATE, "acme-root.pem"), "utf8");
  return { url, address: DATACENTRE.server, port: 443, authority };
}

/**
 * Uploads the manual, unless an earlier start has, and asks about it.
 *
 * @throws UserError where no answer comes, or one without the manual's page
 */
export async function showAnswer(entry: Entry, wait: Partial<Wait> = {}): Promise<Shown> {
  const there = await ask(entry);
  if (hasPage(there.body)) return shown(there, []);
  const uploadMs = await upload(entry);
  const began = performance.now();
  const found = await untilFound(entry, { ...WAIT, ...wait });
  return shown(found, [
    ["upload", uploadMs],
    ["indexing", performance.now() - began - found.milliseconds],
  ]);
}

async function untilFound(entry: Entry, { every, limit }: Wait): Promise<Asked> {
  let seen = "";
  return await until(
    async () => {
      const asked = await ask(entry);
      seen = JSON.stringify(asked.body).slice(0, 300);
      return hasPage(asked.body) && asked;
    },
    {
      every,
      limit,
      late: () =>
        new UserError(
          `${entry.url}/api/question: expected an answer from page ${MANUAL_QUESTION.page} of ${TITLE} within ${limit / 1000} s of its upload, ` +
            `got ${seen}; npm run rehearsal:exec -- npm run documents -- test list says how far it is`,
        ),
    },
  );
}

function shown({ body, milliseconds }: Asked, before: Shown["hops"]): Shown {
  const { answer, sources, timings } = body;
  const { searchMs, modelMs } = timings;
  return {
    question: MANUAL_QUESTION.question,
    answer,
    sources: sources.map(({ title, page }) => `${title ?? "?"}, page ${page ?? "?"}`),
    hops: [
      ...before,
      ...(searchMs === undefined ? [] : [["search", searchMs] as const]),
      ...(modelMs === undefined ? [] : [["language model", modelMs] as const]),
      ["answer in all", milliseconds],
    ],
  };
}

function hasPage({ sources }: Answered): boolean {
  return sources.some(({ title, page }) => title === TITLE && page === MANUAL_QUESTION.page);
}

async function upload(entry: Entry): Promise<number> {
  const manual = await uploadOf(TITLE, await readFile(MANUAL));
  const began = performance.now();
  const { status, text } = await post(entry, manual);
  if (status !== 200 || !accepted.safeParse(parseJson(text)).success)
    throw refused(entry, "/api/upload", { status, text });
  return performance.now() - began;
}

async function ask(entry: Entry): Promise<Asked> {
  const began = performance.now();
  const { status, text } = await post(entry, questionOf(MANUAL_QUESTION.question));
  const milliseconds = performance.now() - began;
  const body = answered.safeParse(parseJson(text));
  if (status !== 200 || !body.success) throw refused(entry, "/api/question", { status, text });
  return { body: body.data, milliseconds };
}

function refused(
  { url }: Entry,
  path: string,
  { status, text }: { readonly status: number; readonly text: string },
): UserError {
  return new UserError(
    `${url}${path}: expected 200 and an answer, got ${status} ${text.slice(0, 300)}; npm run rehearsal:exec -- npm run logs -- test n8n says why`,
  );
}

/** A request to n8n, as a visitor's browser sends it. */
export interface Posted {
  readonly path: string;
  readonly type: string;
  readonly bytes: Buffer;
}

export function questionOf(question: string): Posted {
  const bytes = Buffer.from(JSON.stringify({ question }));
  return { path: "/api/question", type: "application/json", bytes };
}

/** Of a PDF, under the name that becomes its title. */
export async function uploadOf(title: string, content: Buffer): Promise<Posted> {
  const form = new FormData();
  form.set("file", new Blob([new Uint8Array(content)], { type: "application/pdf" }), title);
  const body = new Response(form);
  const type = body.headers.get("content-type") ?? "";
  return { path: "/api/upload", type, bytes: Buffer.from(await body.arrayBuffer()) };
}

/** @throws UserError where no answer comes */
export function post(
  { url, address, port, authority }: Entry,
  { path, type, bytes }: Posted,
): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname } = new URL(url);
  return new Promise((resolve, reject) => {
    https
      .request(
        {
          ...{ host: address, port, servername: hostname, ca: authority, path, method: "POST", agent: false },
          headers: { host: hostname, "content-type": type, "content-length": bytes.length },
          timeout: ANSWER_MS,
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => (text += part));
          response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
        },
      )
      .once("timeout", function (this: { destroy(error: Error): void }) {
        this.destroy(
          new UserError(`${url}${path}: expected an answer within ${ANSWER_MS / 1000} s, got none`),
        );
      })
      .once("error", (error) =>
        reject(
          error instanceof UserError
            ? error
            : new UserError(`${url}${path}: expected an answer, got ${error.message}`),
        ),
      )
      .end(bytes);
  });
}

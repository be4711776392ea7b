import { createServer, type Server } from "node:https";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Entry, showAnswer } from "../../rehearsal/question.ts";
import { close, issue, type Issued, listen } from "../ops/checks/fixtures.ts";

const SOURCE = { documentId: "d", title: "hydraulic-purge.pdf", page: 2 };
const QUICK = { every: 5, limit: 2000 };

let issued: Issued;
let site: Server;
let entry: Entry;
let asked: { readonly path: string; readonly text: string }[];

/** Answers of the site, the last one again and again. */
let uploads: { readonly status: number; readonly body: object };
let answers: { readonly status: number; readonly body: object }[];

const nothing = { status: 200, body: { answer: "Aucun document.", sources: [], timings: { searchMs: 3 } } };
const right = {
  status: 200,
  body: { answer: "Ouvrez V3 [1].", sources: [SOURCE], timings: { searchMs: 4, modelMs: 5 } },
};

beforeAll(async () => {
  issued = await issue("localhost", 30);
});
afterAll(() => issued.remove());

beforeEach(async () => {
  [asked, answers] = [[], [nothing, nothing, right]];
  uploads = { status: 200, body: { success: true, document_id: "d" } };
  site = createServer({ cert: issued.certificate, key: issued.key }, (request, response) => {
    let text = "";
    request.setEncoding("latin1").on("data", (part: string) => (text += part));
    request.once("end", () => {
      asked.push({ path: request.url ?? "", text });
      const [next = nothing] = answers;
      if (request.url === "/api/question" && answers.length > 1) answers = answers.slice(1);
      const { status, body } = request.url === "/api/upload" ? uploads : next;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  const port = Number(new URL(await listen(site)).port);
  entry = { url: "https://localhost", address: "127.0.0.1", port, authority: issued.authority };
});
afterEach(() => close(site));

const uploaded = () => asked.filter(({ path }) => path === "/api/upload");

describe("the question at the end of npm start", () => {
  it("uploads the manual, waits until it is found, and gives the answer with its source and each hop", async () => {
    const shown = await showAnswer(entry, QUICK);

    expect(shown).toMatchObject({
      question: "Comment purger le circuit hydraulique ?",
      answer: "Ouvrez V3 [1].",
      sources: ["hydraulic-purge.pdf, page 2"],
    });
    expect(shown.hops.map(([name]) => name)).toEqual([
      "upload",
      "indexing",
      "search",
      "language model",
      "answer in all",
    ]);
    expect(uploaded()).toHaveLength(1);
    expect(uploaded()[0]?.text).toMatch(/name="file"; filename="hydraulic-purge\.pdf"[^]*%PDF/);
  });

  it("uploads nothing where an earlier start has", async () => {
    answers = [right];
    const { hops } = await showAnswer(entry, QUICK);

    expect(uploaded()).toEqual([]);
    expect(hops.map(([name]) => name)).toEqual(["search", "language model", "answer in all"]);
  });

  it.each([
    [
      "a refused upload",
      { uploads: { status: 502, body: { errors: ["Réessayez"] } } },
      /api\/upload: .*got 502 .*Réessayez/,
    ],
    [
      "a webhook that nobody has registered",
      { answers: [{ status: 404, body: { message: "not registered" } }] },
      /api\/question: expected 200 and an answer, got 404 .*not registered/,
    ],
    ["an empty answer", { answers: [{ status: 200, body: { answer: "", sources: [] } }] }, /got 200/],
    [
      "an answer without the manual",
      { answers: [nothing] },
      /from page 2 of hydraulic-purge\.pdf within 0\.1 s/,
    ],
  ])("fails clearly after %s", async (_, given, message) => {
    ({ uploads, answers } = { uploads, answers, ...given });

    await expect(showAnswer(entry, { every: 5, limit: 100 })).rejects.toThrow(message);
  });

  it("fails clearly where nobody answers", async () => {
    await close(site);

    await expect(showAnswer(entry, QUICK)).rejects.toThrow(
      /api\/question: expected an answer, got .*ECONNREFUSED/,
    );
    site = createServer();
    await listen(site);
  });
});

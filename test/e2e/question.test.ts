/** A question over HTTPS, as a visitor asks it, in the running rehearsal: n8n, the services, Qdrant and the fakes of the vendors. */
import { readFile } from "node:fs/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { isMarked } from "../../ops/checks/question/marked-document.ts";
import { MANUAL, MANUAL_QUESTION } from "../../rehearsal/documents/hydraulic-purge.ts";
import { rehearsedEntry, showAnswer } from "../../rehearsal/question.ts";
import { deploy, lastRelease, npm } from "./deployments.ts";
import { ask, DOMAIN, ensureStarted, until } from "./rehearsal.ts";

interface Listed {
  readonly id: string;
  readonly title: string;
  readonly state: string;
  readonly points: number;
}

/** Documents of this file. */
const ours: string[] = [];

beforeAll(ensureStarted);
afterAll(async () => {
  for (const id of ours) await npm("documents", "--", "test", "delete", id, "--yes");
});

const question = (body: object) =>
  ask("/api/question", {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
    timeoutMs: 60_000,
  });

async function upload(
  name: string,
  content: Buffer,
): Promise<{ readonly status: number; readonly body: string }> {
  const form = new FormData();
  form.set("file", new Blob([new Uint8Array(content)], { type: "application/pdf" }), name);
  const encoded = new Response(form);
  return await ask("/api/upload", {
    method: "POST",
    body: Buffer.from(await encoded.arrayBuffer()),
    headers: { "content-type": encoded.headers.get("content-type") ?? "" },
    timeoutMs: 60_000,
  });
}

async function listed(): Promise<Listed[]> {
  const { stdout } = await npm("documents", "--", "test", "list", "--json");
  return JSON.parse(stdout) as Listed[];
}

describe("the manual of npm start", () => {
  it("answers its question from its second page", async () => {
    const shown = await showAnswer(await rehearsedEntry(`https://${DOMAIN}`));

    expect(shown.question).toBe(MANUAL_QUESTION.question);
    expect(shown.answer).toContain("V3");
    expect(shown.sources).toContain("hydraulic-purge.pdf, page 2");
  });
});

describe("a question over HTTPS", () => {
  it("is answered from what somebody has uploaded, with document, title and page, until it is deleted", async () => {
    const { status, body } = await upload("notice-essai.pdf", await readFile(MANUAL));
    expect(status, body).toBe(200);
    const { document_id: id } = JSON.parse(body) as { document_id: string };
    ours.push(id);
    await until("the document can be asked about", async () =>
      (await listed()).some((one) => one.id === id && one.state === "ready" && one.points > 0),
    );
    const filters = { must: [{ key: "document_id", match: { value: id } }] };
    const asked = { question: "Comment purger le circuit hydraulique ?", filters };

    const answer = await question(asked);
    expect(answer.status, answer.body).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      answer: expect.stringMatching(/purge/) as string,
      sources: expect.arrayContaining([{ documentId: id, title: "notice-essai.pdf", page: 2 }]) as unknown[],
      timings: { searchMs: expect.any(Number) as number, modelMs: expect.any(Number) as number },
    });
    expect((await npm("documents", "--", "test", "delete", id, "--yes")).code).toBe(0);
    ours.pop();
    expect(JSON.parse((await question(asked)).body)).toMatchObject({ sources: [] });
  });

  it("is refused with the reason where it is empty, and so is a file that is no PDF", async () => {
    const empty = await question({ question: " " });
    expect([empty.status, empty.body]).toEqual([400, expect.stringContaining("La question est vide")]);
    const text = await upload("texte.pdf", Buffer.from("bonjour"));
    expect(text.status, text.body).toBe(400);
  });
});

describe("a deployment", () => {
  it("asks about a document of its own, leaves none, records each hop, and leaves no key unchecked", async () => {
    const before = await listed();
    const { code, stdout, stderr } = await deploy();
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const { preflight, verify } = await lastRelease();
    const of = (checks: typeof verify, id: string) => checks.find((one) => one.id === id);

    expect(of(verify, "functional-question")).toMatchObject({ outcome: "ok" });
    expect(of(verify, "performance-question")).toMatchObject({
      outcome: "ok",
      measures: {
        uploadMs: expect.any(Number) as number,
        indexingMs: expect.any(Number) as number,
        searchMs: expect.any(Number) as number,
        modelMs: expect.any(Number) as number,
        ownMs: expect.any(Number) as number,
      },
    });
    for (const id of ["voyage", "anthropic", "google-document-ai", "google-vision-ai"])
      expect(of(preflight, `api-key-${id}`), id).toMatchObject({ outcome: "ok" });
    expect((await listed()).filter(({ title }) => isMarked(title))).toEqual([]);
    expect((await listed()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });
});

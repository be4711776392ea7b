import { describe, expect, it } from "vitest";

import { request, runWorkflow, type HttpCall } from "./n8n.ts";

const purge = {
  text: "Ouvrir la vanne V3.",
  type: "text",
  document_id: "d1",
  document_name: "Pompe.pdf",
  page_number: 4,
};
const torque = {
  text: "Serrer à 12 Nm.",
  type: "text",
  document_id: "d1",
  document_name: "Pompe.pdf",
  page_number: 9,
};
const drawing = { type: "image", image_url: "https://x/schema.png" };
const found = (...payloads: readonly object[]) =>
  payloads.map((metadata, index) => ({ id: index, score: 0.9, metadata }));

function services(results: readonly object[], answer: (call: HttpCall) => unknown) {
  return (call: HttpCall) =>
    call.url.includes("vector-store") ? { query: "", results, count: results.length } : answer(call);
}

const says = (text: string) => () => ({ content: [{ type: "text", text }], stop_reason: "end_turn" });
const question = "Comment purger le circuit hydraulique ?";
const ask = (body: unknown, http?: (call: HttpCall) => unknown) =>
  runWorkflow("technicia-question", request(body), http ? { http } : {});

describe("a question", () => {
  it("is answered from the passages, with the source of what is cited", async () => {
    const run = await ask(
      { question, userId: "u", sessionId: "s" },
      services(found(torque, purge, drawing), says("Ouvrez V3 [2].")),
    );

    expect(run.answer).toEqual({
      status: 200,
      body: {
        answer: "Ouvrez V3 [2].",
        question,
        images: ["https://x/schema.png"],
        sources: [{ documentId: "d1", title: "Pompe.pdf", page: 4 }],
        timings: { searchMs: expect.any(Number) as number, modelMs: expect.any(Number) as number },
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      },
    });
    expect(run.failure).toBeUndefined();
  });

  it("is searched as vector-store wants it, and put to the model as Anthropic wants it", async () => {
    const filters = { must: [{ key: "document_id", match: { value: "d1" } }] };
    const { calls } = await ask(
      { question: `  ${question} `, limit: 3, filters },
      services(found(purge), says("V3 [1]")),
    );
    const [search, model] = calls;

    expect(search).toMatchObject({
      method: "POST",
      url: "http://vector-store:8000/search",
      body: { query: question, limit: 3, filter: filters },
    });
    expect(model).toMatchObject({
      method: "POST",
      url: "https://api.anthropic.com/v1/messages",
      headers: { "anthropic-version": "2023-06-01" },
      credentials: "technicia-anthropic",
    });
    const { model: name, max_tokens: tokens, messages } = model!.body as Record<string, never>;
    expect(name).toMatch(/^claude-/);
    expect(tokens).toBeGreaterThan(0);
    expect(messages).toEqual([
      { role: "user", content: expect.stringContaining("Ouvrir la vanne V3.") as string },
    ]);
    expect(JSON.stringify(messages)).toContain(question);
  });

  it("has all passages as sources where the model cites none, each page once", async () => {
    const { answer } = await ask(
      { question },
      services(found(purge, { ...purge, text: "Puis fermer." }, torque), says("Voilà.")),
    );

    expect((answer!.body as { sources: { page: number }[] }).sources.map(({ page }) => page)).toEqual([4, 9]);
  });

  it("counts what the model bills, and from how many pages it answered", async () => {
    const usage = { input_tokens: 1200, output_tokens: 340 };
    const model = "claude-sonnet-4-5-20250929";
    const answering = (text: string) => () => ({ content: [{ type: "text", text }], model, usage });
    const billed = { event: "usage", model, input: 1200, output: 340 };

    const { lines } = await ask({ question }, services(found(purge, torque), answering("V3 [1][2].")));
    expect(lines).toEqual([billed, { event: "answer", sources: 2 }]);
    // An answer that helps nobody is billed as well.
    expect((await ask({ question }, services(found(purge), answering("")))).lines).toEqual([billed]);
    expect((await ask({ question }, services([], says("")))).lines).toEqual([
      { event: "answer", sources: 0 },
    ]);
  });

  it("writes nothing of what was asked or answered into the log", async () => {
    const { lines } = await ask({ question }, services(found(purge), says("Ouvrez V3 [1].")));

    expect(lines).toEqual([{ event: "answer", sources: 1 }]);
  });

  it("says what the search and the model took, in milliseconds", async () => {
    const slow = (milliseconds: number, result: unknown) =>
      new Promise((resolve) => setTimeout(() => resolve(result), milliseconds));
    const { answer } = await ask({ question }, (call) =>
      call.url.includes("vector-store")
        ? slow(30, { query: "", results: found(purge), count: 1 })
        : slow(60, { content: [{ type: "text", text: "V3 [1]." }] }),
    );
    const { timings } = answer!.body as { timings: { searchMs: number; modelMs: number } };

    expect(timings.searchMs).toBeGreaterThanOrEqual(29);
    expect(timings.modelMs).toBeGreaterThanOrEqual(59);
  });

  it("asks no model where nothing is found, and says so", async () => {
    const run = await ask({ question }, services([], says("inventé")));

    expect(run.answer).toMatchObject({
      status: 200,
      body: {
        answer: expect.stringContaining("Aucun document") as string,
        sources: [],
        timings: { searchMs: expect.any(Number) as number },
      },
    });
    expect(run.calls.map(({ node }) => node)).toEqual(["Chercher"]);
  });

  it.each([
    [{}, "La question est vide."],
    [{ question: "  " }, "La question est vide."],
    [{ question: 3 }, "La question est vide."],
    ["no JSON", "La question est vide."],
    [undefined, "La question est vide."],
    [{ question: "x".repeat(1_000_000) }, "La question dépasse 4000 caractères."],
    [{ question, limit: 0 }, "« limit » est un nombre entier de 1 à 50."],
    [{ question, limit: "10" }, "« limit » est un nombre entier de 1 à 50."],
    [{ question, filters: { type: "text" } }, "« filters » est un filtre de Qdrant"],
    [{ question, filters: [] }, "« filters » est un filtre de Qdrant"],
  ])("is refused with 400 and the reason: %.60j", async (body, reason) => {
    const run = await ask(body);

    expect(run.answer).toEqual({
      status: 400,
      body: { success: false, errors: [expect.stringContaining(reason)] },
    });
    expect(run.calls).toEqual([]);
  });

  it("in another script is passed on as it is", async () => {
    const { calls } = await ask(
      { question: '如何排空液压回路？ "guillemets" \\ {{ 1 + 1 }}' },
      services(found(purge), says("V3 [1]")),
    );

    expect((calls[0]!.body as { query: string }).query).toBe(
      '如何排空液压回路？ "guillemets" \\ {{ 1 + 1 }}',
    );
  });

  it.each([
    ["Chercher", 3, (call: HttpCall) => call.url.includes("vector-store")],
    ["Claude", 2, (call: HttpCall) => call.url.includes("anthropic")],
  ])(
    "whose node %s fails %i times gets 502 without a cause, which goes to the workflow of errors",
    async (node, tries, isBroken) => {
      const run = await ask({ question }, (call) => {
        if (isBroken(call)) throw new Error("529 - overloaded at http://intérieur");
        return { results: found(purge) };
      });

      expect(run.answer).toEqual({
        status: 502,
        body: { success: false, errors: [expect.stringContaining("Réessayez")] },
      });
      expect(JSON.stringify(run.answer)).not.toContain("intérieur");
      expect(run.failure).toBe(`${node} : 529 - overloaded at http://intérieur`);
      expect(run.calls.filter((call) => call.node === node)).toHaveLength(tries);
    },
  );

  it.each([
    ["an empty answer", { content: [] }],
    ["another page than an answer", { data: "<html>proxy</html>" }],
    ["an answer of another form", { content: "V3" }],
  ])("gets 502 without a cause where the model gives %s", async (_what, answer) => {
    const run = await ask(
      { question },
      services(found(purge), () => answer),
    );

    expect(run.answer).toEqual({
      status: 502,
      body: { success: false, errors: [expect.stringContaining("Réessayez")] },
    });
    expect(run.failure).toMatch(/^Rédiger : /);
  });
});

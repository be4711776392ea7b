import { describe, expect, it } from "vitest";

import { busy } from "../../../../rehearsal/fake-clouds/anthropic/errors.ts";
import { anthropicApi, type AnthropicOptions } from "../../../../rehearsal/fake-clouds/anthropic/server.ts";
import { request, type Row, runWorkflow } from "../../../workflows/n8n.ts";
import { type Answered, send, serve } from "../serving.ts";

const KEY = "sk-ant-api03-0123456789abcdef";
const HEADERS = { "x-api-key": KEY, "anthropic-version": "2023-06-01" };

async function start(options: Partial<AnthropicOptions> = {}) {
  const served = await serve((clock) => anthropicApi({ keys: [KEY], clock, ...options }));
  const ask = (body: unknown, headers: Record<string, string> = HEADERS): Promise<Answered> =>
    send(`${served.origin}/v1/messages`, { headers, body });
  return { ...served, ask };
}

const passages = [
  { text: "Serrer la vis à 12 Nm.", page: 9 },
  { text: "Pour purger le circuit hydraulique, ouvrir la vis V3. Puis démarrer la pompe.", page: 4 },
];
const content = [
  ...passages.map(
    ({ text, page }, at) =>
      `<passage numero="${at + 1}" document="CH-40.pdf" page="${page}">\n${text}\n</passage>`,
  ),
  "<question>Comment purger le circuit hydraulique ?</question>",
].join("\n");
const asked = {
  model: "claude-sonnet-4-5-20250929",
  max_tokens: 1500,
  messages: [{ role: "user", content }],
};
const textIn = ({ body }: Answered) => (body as { content: { text: string }[] }).content[0]?.text ?? "";

/** Runs a workflow whose model is the fake, and whose search finds the passages above. */
async function runWith(ask: (body: unknown) => Promise<Answered>, id: string, body: unknown) {
  const found = passages.map(({ text, page }) => ({
    metadata: { text, document_id: "d1", document_name: "CH-40.pdf", page_number: page },
  }));
  const tables = new Map<string, Row[]>();
  // The runner asks without waiting, so the request is seen in one run and answered in the next.
  const first = await runWorkflow(id, request(body), {
    tables,
    http: (call) => (call.url.includes("vector-store") ? { results: found } : { content: [] }),
  });
  const sent = first.calls.find(({ url }) => url === "https://api.anthropic.com/v1/messages");
  const reply = await ask(sent?.body);
  return runWorkflow(id, request(body), {
    tables,
    http: (call) => (call.url.includes("vector-store") ? { results: found } : reply.body),
  });
}

describe("the fake of Anthropic's messages", () => {
  it("answers from the passages, and cites the one that it used", async () => {
    const { ask } = await start();
    const answer = await ask(asked);

    expect(answer).toMatchObject({
      status: 200,
      body: {
        id: expect.stringMatching(/^msg_01/) as string,
        type: "message",
        role: "assistant",
        model: asked.model,
        content: [{ type: "text" }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: { input_tokens: expect.any(Number) as number, output_tokens: expect.any(Number) as number },
      },
    });
    expect(textIn(answer)).toBe(
      "Pour purger le circuit hydraulique, ouvrir la vis V3. Puis démarrer la pompe [2].",
    );
    expect(answer.headers.get("request-id")).toMatch(/^req_01/);
    expect(answer.headers.get("anthropic-ratelimit-requests-remaining")).toBe("999");
  });

  it("says that the passages do not answer where they do not", async () => {
    const { ask } = await start();
    const other = content.replace(/<question>.*/, "<question>Quelle huile moteur choisir ?</question>");

    expect(textIn(await ask({ ...asked, messages: [{ role: "user", content: other }] }))).toBe(
      "Les passages fournis ne répondent pas à la question.",
    );
  });

  it("streams the same answer as server-sent events", async () => {
    const { ask } = await start();
    const [whole, streamed] = [await ask(asked), await ask({ ...asked, stream: true })];
    const events = (streamed.body as string)
      .trim()
      .split("\n\n")
      .map((event) => {
        const [, type = "", data = ""] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
        return { type, data: JSON.parse(data) as { type: string; delta?: Record<string, string> } };
      });

    expect(streamed.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(events.every(({ type, data }) => type === data.type)).toBe(true);
    expect([...new Set(events.map(({ type }) => type))]).toEqual([
      ...["message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop"],
      ...["message_delta", "message_stop"],
    ]);
    expect(events.map(({ data }) => data.delta?.["text"] ?? "").join("")).toBe(textIn(whole));
    expect(events.at(-2)?.data.delta).toEqual({ stop_reason: "end_turn", stop_sequence: null });
  });

  it.each([
    ["no key", 401, "authentication_error", "x-api-key header is required", asked, { "x-api-key": "" }],
    [
      "another key",
      401,
      "authentication_error",
      "invalid x-api-key",
      asked,
      { ...HEADERS, "x-api-key": "y" },
    ],
    [
      "no version",
      400,
      "invalid_request_error",
      "anthropic-version: header is required",
      asked,
      { "x-api-key": KEY },
    ],
    [
      "another version",
      400,
      "invalid_request_error",
      "not a valid version",
      asked,
      { ...HEADERS, "anthropic-version": "1" },
    ],
    [
      "a retired model",
      404,
      "not_found_error",
      "model: claude-3-5-sonnet-20240620",
      { ...asked, model: "claude-3-5-sonnet-20240620" },
    ],
    ["no model", 400, "invalid_request_error", "model: Field required", { ...asked, model: undefined }],
    [
      "no length",
      400,
      "invalid_request_error",
      "max_tokens: Field required",
      { ...asked, max_tokens: undefined },
    ],
    ["too long an answer", 400, "invalid_request_error", "70000 > 64000", { ...asked, max_tokens: 70_000 }],
    ["no messages", 400, "invalid_request_error", "at least one message", { ...asked, messages: [] }],
    [
      "an empty message",
      400,
      "invalid_request_error",
      "must be non-empty",
      { ...asked, messages: [{ role: "user", content: " " }] },
    ],
    [
      "another role",
      400,
      "invalid_request_error",
      "messages.0.role",
      { ...asked, messages: [{ role: "system", content: "x" }] },
    ],
    ["an unknown field", 400, "invalid_request_error", "question: Extra inputs", { ...asked, question: "x" }],
    [
      "a tool that is not given",
      400,
      "invalid_request_error",
      "not found in provided tools",
      { ...asked, tools: [], tool_choice: { type: "tool", name: "plan" } },
    ],
    ["a body that is no JSON", 400, "invalid_request_error", "not valid JSON", "{"],
  ] as const)("refuses %s: %d %s", async (_, status, type, message, body, headers?) => {
    const { ask } = await start();
    const given =
      headers === undefined
        ? HEADERS
        : (Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== "")) as Record<
            string,
            string
          >);

    expect(await ask(body, given)).toMatchObject({
      status,
      body: {
        type: "error",
        error: { type, message: expect.stringContaining(message) as string },
        request_id: expect.stringMatching(/^req_/) as string,
      },
    });
  });

  it("ends an answer that is longer than was allowed", async () => {
    const { ask } = await start();
    const answer = await ask({ ...asked, max_tokens: 2 });

    expect(answer.body).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 2 } });
    expect(textIn(answer)).toBe("Pour pur");
  });

  it("limits the requests of a minute with 429 and says how long to wait", async () => {
    const { ask, clock } = await start({ rateLimit: { requests: 1, windowSeconds: 60 } });
    await ask(asked);
    const refused = await ask(asked);
    await clock.advance(60_000);

    expect(refused).toMatchObject({ status: 429, body: { error: { type: "rate_limit_error" } } });
    expect(refused.headers.get("retry-after")).toBe("60");
    expect((await ask(asked)).status).toBe(200);
  });

  it("is overloaded as often as it is told to, and breaks off in the middle of a stream", async () => {
    const { ask, faults } = await start();
    faults.add(busy("overloaded_error", { times: 1, retryAfterSeconds: 7 }));
    const refused = await ask(asked);

    expect(refused).toMatchObject({ status: 529, body: { error: { type: "overloaded_error" } } });
    expect(refused.headers.get("retry-after")).toBe("7");

    faults.add({ api: "anthropic", path: "^/messages$", cut: "within" });
    await expect(ask({ ...asked, stream: true })).rejects.toThrow();
    expect((await ask(asked)).status).toBe(200);
  });
});

describe("the fake of Anthropic's models", () => {
  it("lists them page by page, and finds each", async () => {
    const { origin } = await start();
    const get = (path: string, headers: Record<string, string> = HEADERS) =>
      send(`${origin}/v1/models${path}`, { headers });
    const first = await get("?limit=1");
    const { last_id: last } = first.body as { last_id: string };

    expect(first.body).toMatchObject({ data: [{ type: "model", id: last }], has_more: true, first_id: last });
    const rest = (await get(`?after_id=${last}`)).body as { data: { id: string }[]; has_more: boolean };
    expect(rest.has_more).toBe(false);
    expect(rest.data.map(({ id }) => id)).toContain(asked.model);
    expect((await get(`/${asked.model}`)).body).toMatchObject({ display_name: "Claude Sonnet 4.5" });
    expect((await get("/claude-2")).status).toBe(404);
    expect((await get("", { "x-api-key": "y" })).status).toBe(401);
  });
});

describe("TechnicIA's workflows and the fake of Anthropic", () => {
  it("answer a question with the source of the passage", async () => {
    const { ask } = await start();
    const question = "Comment purger le circuit hydraulique ?";
    const run = await runWith(ask, "technicia-question", { question });

    expect(run.answer).toMatchObject({
      status: 200,
      body: {
        answer: expect.stringContaining("ouvrir la vis V3") as string,
        sources: [{ documentId: "d1", title: "CH-40.pdf", page: 4 }],
      },
    });
  });

  it("start a diagnosis with the plan that the model's tool carries", async () => {
    const { ask } = await start();
    const run = await runWith(ask, "technicia-diagnosis-start", { initialSymptoms: "La vis de purge fuit" });

    expect(run.answer).toMatchObject({
      status: 200,
      body: {
        progress: { currentStep: 1, totalSteps: 3 },
        currentStepData: {
          title: expect.stringContaining("Titre de l'étape (1)") as string,
          question: expect.stringContaining("La question") as string,
        },
      },
    });
  });
});

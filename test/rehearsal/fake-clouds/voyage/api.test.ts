import { describe, expect, it } from "vitest";

import { voyageApi, type VoyageOptions } from "../../../../rehearsal/fake-clouds/voyage/server.ts";
import { type Answered, send, serve } from "../serving.ts";

const KEY = "pa-rehearsal-0123456789abcdef";

async function start(options: Partial<VoyageOptions> = {}) {
  const served = await serve((clock) => voyageApi({ keys: [KEY], clock, ...options }));
  const embed = (body: unknown, key: string | undefined = KEY): Promise<Answered> =>
    send(`${served.origin}/v1/embeddings`, { headers: { authorization: `Bearer ${key}` }, body });
  return { ...served, embed };
}

const asked = { model: "voyage-3", input: "Ouvrir la vis de purge V3", input_type: "document" };
const vectorsIn = ({ body }: Answered) =>
  (body as { data: { embedding: number[] }[] }).data.map(({ embedding }) => embedding);
const near = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, one, at) => sum + one * (b[at] ?? 0), 0);

describe("the fake of VoyageAI", () => {
  it("answers a text, or a list of texts, with unit vectors of 1024 numbers, always the same", async () => {
    const { embed } = await start();
    const one = await embed(asked);
    const two = await embed({ ...asked, input: ["autre", asked.input], input_type: "query" });

    expect(one.body).toMatchObject({
      object: "list",
      model: "voyage-3",
      data: [{ object: "embedding", index: 0 }],
      usage: { total_tokens: 7 },
    });
    expect(vectorsIn(one)[0]).toHaveLength(1024);
    expect(near(vectorsIn(one)[0], vectorsIn(one)[0])).toBeCloseTo(1, 9);
    expect(vectorsIn(two)[1]).toEqual(vectorsIn(one)[0]);
  });

  it("puts texts that share words near each other, and others far away", async () => {
    const { embed } = await start();
    const input = [
      "Comment purger le circuit hydraulique ?",
      "Pour purger le circuit hydraulique, ouvrez la vis V3.",
      "Tableau des couples de serrage",
    ];
    const [question, answer, other] = vectorsIn(await embed({ ...asked, input }));

    expect(near(question, answer)).toBeGreaterThan(0.4);
    expect(Math.abs(near(question, other))).toBeLessThan(0.2);
  });

  it.each([
    ["an unknown key", 401, "API key is invalid", asked, "pa-other"],
    ["another model", 400, "Model voyage-9 is not supported", { ...asked, model: "voyage-9" }],
    ["no model", 400, "'model' is required", { ...asked, model: undefined }],
    ["another input_type", 400, "'input_type' is not valid", { ...asked, input_type: "passage" }],
    ["an unknown argument", 400, "'inputs' is not supported", { ...asked, inputs: [] }],
    ["an empty text", 400, "cannot contain empty strings", { ...asked, input: "" }],
    ["another size", 400, "'output_dimension' is not valid", { ...asked, output_dimension: 512 }],
    ["more than 1000 texts", 400, "batch size limit is 1000", { ...asked, input: Array(1001).fill("x") }],
    [
      "more tokens than a request may have",
      400,
      "max allowed tokens per submitted batch is 320000. Your batch has 352000",
      { ...asked, input: Array(11).fill("x".repeat(4 * 32_000)) },
    ],
    [
      "a text that is too long to be embedded whole",
      400,
      "example at index 0",
      { ...asked, input: "x".repeat(4 * 32_001), truncation: false },
    ],
    ["a body that is no JSON", 400, "not valid JSON", "{"],
  ])("refuses %s: %d", async (_, status, detail, body, key?: string) => {
    const { embed } = await start();
    const answer = await embed(body, key);

    expect(answer.status).toBe(status);
    expect((answer.body as { detail: string }).detail).toContain(detail);
  });

  it("takes every key that begins as a known one with a star", async () => {
    const { embed } = await start({ keys: ["pa-rehearsal-*"] });

    expect((await embed(asked, "pa-rehearsal-rotated")).status).toBe(200);
    expect((await embed(asked, "pa-other")).status).toBe(401);
  });

  it("limits the requests of a minute, and takes more afterwards", async () => {
    const { embed, clock } = await start({ rateLimit: { requests: 1, windowSeconds: 60 } });
    const [first, second] = [await embed(asked), await embed(asked)];
    await clock.advance(60_000);

    expect([first.status, second.status, second.headers.get("retry-after")]).toEqual([200, 429, "60"]);
    expect((await embed(asked)).status).toBe(200);
  });

  it("fails as it is told to, and keeps no key among its calls", async () => {
    const { embed, faults, calls } = await start();
    faults.add({ api: "voyage", path: "^/embeddings$", status: 503, times: 1 });
    faults.add({ api: "voyage", path: "^/embeddings$", cut: "within", nth: 2 });

    expect((await embed(asked)).status).toBe(503);
    await expect(embed(asked)).rejects.toThrow();
    expect((await embed(asked)).status).toBe(200);
    expect(calls.list("voyage").map(({ status, fault }) => [status, fault])).toEqual([
      [503, "status 503"],
      [0, "cut within"],
      [200, undefined],
    ]);
    expect(JSON.stringify(calls.list())).not.toContain(KEY);
  });
});

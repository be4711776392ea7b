import { beforeEach, describe, expect, it } from "vitest";

import { request, runWorkflow, type HttpCall, type Row } from "./n8n.ts";

const step = (title: string) => ({
  title,
  description: `Vérifier ${title}`,
  instructions: `Consigner, puis mesurer ${title}`,
  expectedResults: "Stable",
  question: `Que montre ${title} ?`,
});
const plan = [step("le niveau"), step("la pression"), step("la pompe")];

let tables: Map<string, Row[]>;
let calls: HttpCall[];
beforeEach(() => {
  [tables, calls] = [new Map<string, Row[]>(), []];
});

function services(call: HttpCall): unknown {
  calls.push(call);
  if (call.url.includes("vector-store"))
    return {
      results: [{ metadata: { text: "La pompe P1 cavite.", document_name: "Pompe.pdf", page_number: 2 } }],
    };
  const { tools } = call.body as { tools?: unknown };
  if (tools === undefined) return { content: [{ type: "text", text: "# Rapport\nPompe usée." }] };
  return { content: [{ type: "tool_use", name: "plan", input: { steps: plan } }] };
}

const start = (body: unknown, http = services, now = () => new Date()) =>
  runWorkflow("technicia-diagnosis-start", request(body), { http, tables, now });
const next = (body: unknown, http = services) =>
  runWorkflow("technicia-diagnosis-step", request(body), { http, tables });

const given = {
  initialSymptoms: "Bruit près de la pompe",
  equipmentId: "hydraulic-system",
  equipmentType: "Système hydraulique",
  userId: "u",
};

async function begin(): Promise<string> {
  const { answer } = await start(given);
  return (answer!.body as { diagnosisId: string }).diagnosisId;
}

it("counts what the model bills for the plan and for the report", async () => {
  const usage = { input_tokens: 900, output_tokens: 80 };
  const model = "claude-sonnet-4-5-20250929";
  const http = (call: HttpCall) => ({ ...(services(call) as object), model, usage });
  const { lines, answer } = await start(given, http);
  const { diagnosisId } = answer!.body as { diagnosisId: string };
  const billed = { event: "usage", model, input: 900, output: 80 };

  expect(lines).toEqual([billed]);
  const runs = [];
  for (const { title } of plan) runs.push(await next({ diagnosisId, response: title }, http));
  expect(runs.map((run) => run.lines)).toEqual([[], [], [billed]]);
});

describe("the start of a diagnosis", () => {
  it("gives the first step of a plan that the model makes from the documentation", async () => {
    const run = await start(given);

    expect(run.failure).toBeUndefined();
    expect(run.answer).toEqual({
      status: 200,
      body: {
        diagnosisId: expect.stringMatching(/^diag_\d{13}_[a-z0-9]{5}$/) as string,
        status: "in_progress",
        progress: { currentStep: 1, totalSteps: 3, percentComplete: 0 },
        currentStepData: { stepNumber: 1, ...plan[0] },
        equipment: { id: "hydraulic-system", type: "Système hydraulique" },
        initialSymptoms: "Bruit près de la pompe",
        nextStepWebhook: "/api/diagnosis-step",
      },
    });
    expect(calls[0]!.body).toEqual({
      query: "Système hydraulique : Bruit près de la pompe",
      limit: 8,
      filter: null,
    });
    expect(calls[1]!.body).toMatchObject({ tool_choice: { type: "tool", name: "plan" } });
    expect(JSON.stringify(calls[1]!.body)).toContain("La pompe P1 cavite.");
  });

  it("forgets diagnoses of more than 30 days", async () => {
    await start(given, services, () => new Date("2026-01-01T00:00:00Z"));
    await start(given, services, () => new Date("2026-01-25T00:00:00Z"));
    await start(given, services, () => new Date("2026-02-10T00:00:00Z"));

    expect(tables.get("technicia_diagnostics")!.map(({ createdAt }) => createdAt)).toEqual([
      "2026-01-25T00:00:00.000Z",
      "2026-02-10T00:00:00.000Z",
    ]);
  });

  it.each([
    [{}, "initialSymptoms"],
    [{ initialSymptoms: " " }, "initialSymptoms"],
    [{ initialSymptoms: "x".repeat(5000) }, "4000"],
    [{ initialSymptoms: "bruit", equipmentId: { a: 1 } }, "equipmentId"],
    ["text", "initialSymptoms"],
  ])("refuses %.40j with 400", async (body, reason) => {
    const run = await start(body);

    expect(run.answer).toEqual({
      status: 400,
      body: { success: false, errors: [expect.stringContaining(reason)] },
    });
    expect(calls).toEqual([]);
    expect(run.failure).toBeUndefined();
  });

  it("answers 502 where the model does not, and where it makes no plan", async () => {
    const down = await start(given, (call) => {
      if (call.url.includes("anthropic")) throw new Error("529");
      return services(call);
    });
    const vague = await start(given, (call) =>
      call.url.includes("anthropic") ? { content: [{ type: "text", text: "?" }] } : services(call),
    );

    expect([down.answer!.status, down.failure]).toEqual([502, "Claude : 529"]);
    expect([vague.answer!.status, vague.failure]).toEqual([
      502,
      "Planifier : Le modèle n'a pas rendu de plan de diagnostic.",
    ]);
    expect(tables.size).toBe(0);
  });
});

describe("a step of a diagnosis", () => {
  it("leads to the next one, and after the last to the report", async () => {
    const diagnosisId = await begin();
    const answers = [];
    for (const stepNumber of [1, 2, 3]) {
      const run = await next({
        diagnosisId,
        stepNumber,
        response: `observation ${stepNumber}`,
        notes: "chaud",
      });
      expect(run.failure).toBeUndefined();
      answers.push(run.answer!.body);
    }

    expect(answers[0]).toMatchObject({
      diagnosisId,
      status: "in_progress",
      progress: { currentStep: 2, totalSteps: 3, percentComplete: 33 },
      currentStepData: { stepNumber: 2, ...plan[1] },
    });
    expect(answers[2]).toEqual({
      diagnosisId,
      status: "completed",
      report: {
        content: "# Rapport\nPompe usée.",
        generatedAt: expect.stringMatching(/^\d{4}-/) as string,
        initialSymptoms: "Bruit près de la pompe",
        equipmentType: "Système hydraulique",
        equipmentId: "hydraulic-system",
        diagnosisDuration: "1 min",
      },
      progress: { currentStep: 3, totalSteps: 3, percentComplete: 100 },
    });
    const asked = JSON.stringify(calls.at(-1)!.body);
    for (const text of ["observation 1", "observation 2", "observation 3", "chaud"])
      expect(asked).toContain(text);
  });

  it("belongs to its own diagnosis, whatever others do meanwhile", async () => {
    const [one, two] = [await begin(), await begin()];
    await next({ diagnosisId: one, response: "a" });
    const { answer } = await next({ diagnosisId: two, response: "b" });

    expect(answer!.body).toMatchObject({ diagnosisId: two, progress: { currentStep: 2 } });
    expect(JSON.parse(tables.get("technicia_diagnostics")![0]!["state"] as string)).toMatchObject({
      responses: [{ response: "a" }],
    });
  });

  it("is refused for a diagnosis that does not exist, a step that is not the current one, and one that has ended", async () => {
    const diagnosisId = await begin();
    const unknown = await next({ diagnosisId: "diag_1_abcde", response: "a" });
    const other = await next({ diagnosisId, stepNumber: 2, response: "a" });
    for (const response of ["a", "b", "c"]) await next({ diagnosisId, response });
    const ended = await next({ diagnosisId, response: "d" });

    expect([unknown, other, ended].map(({ answer }) => answer!.status)).toEqual([404, 409, 409]);
    expect((other.answer!.body as { errors: string[] }).errors).toEqual(["L'étape en cours est la 1."]);
  });

  it.each([
    [{}, 2],
    [{ diagnosisId: "1; drop", response: "a" }, 1],
    [{ diagnosisId: "diag_1_abcde", response: "" }, 1],
    [{ diagnosisId: "diag_1_abcde", response: "a", stepNumber: "1" }, 1],
    [{ diagnosisId: "diag_1_abcde", response: "a", notes: {} }, 1],
    [null, 2],
  ])("refuses %j with 400 and %i reasons", async (body, reasons) => {
    const run = await next(body);

    expect(run.answer!.status).toBe(400);
    expect((run.answer!.body as { errors: string[] }).errors).toHaveLength(reasons);
    expect(tables.size).toBe(0);
  });

  it("keeps the last answer out of the table while the report fails, so that the technician can send it again", async () => {
    const diagnosisId = await begin();
    for (const response of ["a", "b"]) await next({ diagnosisId, response });
    const down = await next({ diagnosisId, stepNumber: 3, response: "c" }, (call) => {
      if (call.url.includes("anthropic")) throw new Error("529");
      return services(call);
    });
    const empty = await next({ diagnosisId, stepNumber: 3, response: "c" }, (call) =>
      call.url.includes("anthropic") ? { content: [] } : services(call),
    );
    const again = await next({ diagnosisId, stepNumber: 3, response: "c" });

    expect(down.answer!.status).toBe(502);
    expect([empty.answer!.status, empty.failure]).toEqual([
      502,
      "Rédiger : Le modèle a rendu un rapport vide.",
    ]);
    expect(again.answer!.body).toMatchObject({ status: "completed" });
  });
});

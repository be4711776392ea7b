import { describe, expect, it } from "vitest";

import { runWorkflow, type Row } from "./n8n.ts";

const failed = {
  workflow: { id: "technicia-question", name: "TechnicIA : question" },
  execution: {
    id: "12",
    lastNodeExecuted: "Claude",
    error: { message: "refused: Bearer abcdefgh12345678, sk-ant-REDACTED-example" },
  },
};

describe("the workflow of errors", () => {
  it("notes what failed where, without a key", async () => {
    const tables = new Map<string, Row[]>();
    const run = await runWorkflow(
      "technicia-errors",
      { json: failed },
      { tables, now: () => new Date("2026-11-01T00:00:00Z") },
    );

    expect(run.failure).toBeUndefined();
    expect(tables.get("technicia_erreurs")).toEqual([
      {
        workflow: "TechnicIA : question",
        node: "Claude",
        execution: "12",
        message: "refused: [secret], [secret]",
        createdAt: "2026-11-01T00:00:00.000Z",
      },
    ]);
  });

  it("notes a workflow that could not start, a long message in part, and forgets it after 30 days", async () => {
    const tables = new Map<string, Row[]>();
    const trigger = { workflow: { id: "x" }, trigger: { error: { message: "y".repeat(9000) } } };
    await runWorkflow(
      "technicia-errors",
      { json: trigger },
      { tables, now: () => new Date("2026-11-01T00:00:00Z") },
    );
    const [row] = tables.get("technicia_erreurs")!;
    await runWorkflow(
      "technicia-errors",
      { json: failed },
      { tables, now: () => new Date("2026-12-02T00:00:00Z") },
    );

    expect(row).toMatchObject({ workflow: "x", node: "inconnu", execution: "" });
    expect(row!["message"]).toHaveLength(501);
    expect(tables.get("technicia_erreurs")).toHaveLength(1);
  });
});

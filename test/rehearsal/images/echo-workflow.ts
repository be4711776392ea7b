import { expect } from "vitest";

import type { Container } from "./container.ts";

/** Puts the workflow into n8n, which answers its webhook after the next restart. */
export async function importWorkflow(n8n: Container): Promise<void> {
  await n8n.exec(["sh", "-c", "cat > /tmp/workflow.json"], JSON.stringify([WORKFLOW]));
  expect(await n8n.exec(["n8n", "import:workflow", "--input=/tmp/workflow.json"])).toContain(
    "Successfully imported 1 workflow",
  );
  await n8n.exec(["n8n", "publish:workflow", `--id=${WORKFLOW.id}`]);
}

/** A webhook whose answer a Code node makes, which needs the task runner. */
const WORKFLOW = {
  id: "rehearsalEcho001",
  name: "echo",
  active: false,
  settings: { executionOrder: "v1" },
  nodes: [
    {
      id: "1",
      name: "Webhook",
      type: "n8n-nodes-base.webhook",
      typeVersion: 2,
      position: [0, 0],
      webhookId: "echo",
      parameters: { path: "echo", httpMethod: "POST", responseMode: "lastNode", options: {} },
    },
    {
      id: "2",
      name: "Code",
      type: "n8n-nodes-base.code",
      typeVersion: 2,
      position: [200, 0],
      parameters: { jsCode: "return [{ json: { answer: $input.first().json.body.words.toUpperCase() } }];" },
    },
  ],
  connections: { Webhook: { main: [[{ node: "Code", type: "main", index: 0 }]] } },
};

/** Workflows of an n8n that answers wrongly, too late, or not as its workflows should. */
import { setTimeout as wait } from "node:timers/promises";

import { ask, askHealth, onServer, until } from "./rehearsal.ts";

interface Webhook {
  readonly path: string;

  /** Node that runs before the answer. @default the answer comes at once, with `status` */
  readonly then?: { readonly type: string; readonly parameters: object };
  readonly status?: number;
}

/** Longer than what is P1 of a request, and than what is P2 of a question; both in seconds. */
const SLOW_SECONDS = 32;
const SLOW_QUESTION_SECONDS = 62;

const waitFor = (seconds: number) => ({
  type: "n8n-nodes-base.wait",
  parameters: { amount: seconds, unit: "seconds" },
});

const WEBHOOKS: readonly Webhook[] = [
  { path: "faults-broken", status: 500 },
  { path: "question", status: 500 },
  { path: "upload", status: 500 },
  {
    path: "faults-failing",
    then: { type: "n8n-nodes-base.stopAndError", parameters: { errorMessage: "panne simulée" } },
  },
  { path: "faults-slow", then: waitFor(SLOW_SECONDS) },
  { path: "diagnosis-step", then: waitFor(SLOW_QUESTION_SECONDS) },
];

const idOf = ({ path }: Webhook) => `faults-${path}`;

function workflowOf(webhook: Webhook) {
  const { path, then, status = 200 } = webhook;
  const node = {
    ...{ id: path, name: path, type: "n8n-nodes-base.webhook", typeVersion: 1, position: [0, 0] },
    webhookId: idOf(webhook),
    parameters: {
      ...{ path, httpMethod: "POST", options: {} },
      responseMode: then === undefined ? "onReceived" : "lastNode",
      responseCode: status,
    },
  };
  const next = then && { id: "next", name: "next", typeVersion: 1, position: [200, 0], ...then };
  return {
    ...{ id: idOf(webhook), name: idOf(webhook), active: false },
    settings: { executionOrder: "v1" },
    nodes: [node, ...(next ? [next] : [])],
    connections: next ? { [path]: { main: [[{ node: "next", type: "main", index: 0 }]] } } : {},
  };
}

const AGAIN = `docker service scale technicia-n8n=0 >/dev/null
docker service scale technicia-n8n=1 >/dev/null`;

/** Adds them, and waits until n8n answers. */
export async function addFaultyWorkflows(): Promise<void> {
  const publish = WEBHOOKS.map((one) => `docker exec "$n8n" n8n publish:workflow --id=${idOf(one)}`);
  await onServer(`set -e
n8n=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n)
docker exec --interactive "$n8n" sh -c 'cat > /home/node/.n8n/import.json' <<'J'
${JSON.stringify(WEBHOOKS.map(workflowOf))}
J
docker exec "$n8n" n8n import:workflow --input=/home/node/.n8n/import.json
docker exec "$n8n" rm /home/node/.n8n/import.json
${publish.join("\n")}
${AGAIN}`);
  await until("a workflow to answer 500", async () => (await post("/webhook/faults-broken")) === 500, 120);
}

/** Removes them, so that a verification finds the n8n of before. */
export async function removeFaultyWorkflows(): Promise<void> {
  await onServer(`set -e
docker service scale technicia-n8n=0 >/dev/null
python3 - <<'P'
import sqlite3
connection = sqlite3.connect("/var/lib/docker/volumes/technicia-n8n-data/_data/database.sqlite", timeout=60)
connection.execute("pragma foreign_keys = on")
connection.execute("delete from webhook_entity where workflowId like 'faults-%'")
connection.execute("delete from workflow_entity where id like 'faults-%'")
connection.commit()
P
docker service scale technicia-n8n=1 >/dev/null`);
  await until("TechnicIA answers again", () => askHealth().then(() => true), 120);
}

/** Status of the answer to a visitor who sends something. */
export async function post(path: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  const { status } = await ask(path, { method: "POST", body: "{}", headers, timeoutMs: 120_000 });
  return status;
}

/** Asks that often, one after the other, and expects that status. */
export async function postAll(
  path: string,
  { times, status }: { readonly times: number; readonly status: number },
): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const got = await post(path);
    if (got !== status) throw new Error(`${path}: expected ${status}, got ${got}`);
  }
}

/** Requests that are answered well, as an environment in use has them. */
export async function askWell(times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await askHealth();
}

/** Milliseconds between two requests of somebody who uses the site. */
const PAUSE_MS = 200;

/** Every so many requests one is answered with 500. */
export function mixed(oneOf: number): () => Promise<void> {
  let asked = 0;
  return async () => {
    asked += 1;
    await (asked % oneOf === 0 ? post("/webhook/faults-broken") : askHealth());
    await wait(PAUSE_MS);
  };
}

/** Workflows of an n8n that answers wrongly, too late, or not as its workflows should. */
import { setTimeout as wait } from "node:timers/promises";

import { addWebhooks, REMOVE_WEBHOOKS, type Webhook } from "../../rehearsal/bench/faulty-webhooks.ts";
import { ask, askHealth, onServer, until } from "./rehearsal.ts";

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

/** Adds them, and waits until n8n answers. */
export async function addFaultyWorkflows(): Promise<void> {
  await onServer(addWebhooks(WEBHOOKS));
  await until("a workflow to answer 500", async () => (await post("/webhook/faults-broken")) === 500, 120);
}

/** Removes them, so that a verification finds the n8n of before. */
export async function removeFaultyWorkflows(): Promise<void> {
  await onServer(REMOVE_WEBHOOKS);
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

import { readFile } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { DATACENTRE, STATE } from "../addresses.ts";
import { domainOf } from "../stack-settings.ts";
import { measure, type Measure } from "./measure.ts";

/** What is asked, the status of an answer, and milliseconds between an answer and the next request. */
interface Question {
  readonly path: string;
  readonly status: number;
  readonly apart: number;
}

/** Everything behind the gateway. */
const EVERYTHING: Question = { path: "/healthz", status: 200, apart: 20 };

/** n8n alone: it answers by itself that it knows no such webhook, and the gateway answers 502 or 503 in its place. */
export const N8N: Question = {
  path: "/webhook/bench-asks-whether-n8n-is-there",
  status: 404,
  // One address that asks this more often gets 429.
  apart: 250,
};

/** Measures a step while the public address is asked again and again. */
export async function measureUnderTraffic(
  name: string,
  step: () => Promise<unknown>,
  question = EVERYTHING,
): Promise<Measure> {
  const ca = await readFile(join(STATE, "acme-root.pem"));
  const seen: { failed: number; readonly milliseconds: number[] } = { failed: 0, milliseconds: [] };
  const ended = new AbortController();
  const asking = (async () => {
    while (!ended.signal.aborted) {
      const began = performance.now();
      if (!(await isAnswered(question, ca))) seen.failed += 1;
      seen.milliseconds.push(performance.now() - began);
      await delay(question.apart);
    }
  })();
  const measured = await measure(name, { step });
  ended.abort();
  await asking;
  const asked = seen.milliseconds.length;
  const p95 = Math.round(seen.milliseconds.sort((a, b) => a - b)[Math.floor(asked * 0.95)] ?? 0);
  return { ...measured, failed: seen.failed, requests: `${seen.failed} of ${asked} failed, p95 ${p95} ms` };
}

function isAnswered({ path, status }: Question, ca: Buffer): Promise<boolean> {
  const name = domainOf("test");
  const options = {
    host: DATACENTRE.server,
    servername: name,
    headers: { host: name },
    path,
    ca,
  };
  return new Promise((resolve) => {
    const request = get({ ...options, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === status);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", () => resolve(false));
  });
}

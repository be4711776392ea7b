import { readFile } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { DATACENTRE, STATE } from "../addresses.ts";
import { domainOf } from "../stack-settings.ts";
import { measure, type Measure } from "./measure.ts";

/** What is asked, the status of an answer, and milliseconds between an answer and the next request. */
export interface Question {
  readonly path: string;
  readonly status: number;
  readonly apart: number;
}

/** Everything behind the gateway. */
export const EVERYTHING: Question = { path: "/healthz", status: 200, apart: 20 };

/** n8n alone: it answers by itself that it knows no such webhook, and the gateway answers 502 or 503 in its place. */
export const N8N: Question = {
  path: "/webhook/bench-asks-whether-n8n-is-there",
  status: 404,
  // One address that asks this more often gets 429.
  apart: 250,
};

/** One request: when it was made, in milliseconds since 1970, how long it took, and whether it was answered as expected. */
export interface Request {
  readonly at: number;
  readonly milliseconds: number;
  readonly isAnswered: boolean;
}

/** A measure, and when each request that failed was made, in milliseconds since 1970. */
export type MeasureUnderTraffic = Measure & { readonly failures: readonly number[] };

/** Measures a step while the public address is asked again and again. */
export async function measureUnderTraffic(
  name: string,
  step: () => Promise<unknown>,
  question = EVERYTHING,
): Promise<MeasureUnderTraffic> {
  const ca = await readFile(join(STATE, "acme-root.pem"));
  const requests: Request[] = [];
  const ended = new AbortController();
  const asking = (async () => {
    while (!ended.signal.aborted) {
      const [at, began] = [Date.now(), performance.now()];
      const wasAnswered = await isAnswered(question, ca);
      requests.push({ at, milliseconds: performance.now() - began, isAnswered: wasAnswered });
      await delay(question.apart);
    }
  })();
  const measured = await measure(name, { step });
  ended.abort();
  await asking;
  return { ...measured, ...summarise(requests) };
}

/** What a table says of them. */
export function summarise(
  requests: readonly Request[],
): Pick<Measure, "requests"> & { readonly failed: number; readonly failures: readonly number[] } {
  const failures = requests.filter((one) => !one.isAnswered).map(({ at }) => at);
  const times = requests.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  const p95 = Math.round(times[Math.floor(times.length * 0.95)] ?? 0);
  const within = failures.length === 0 ? "" : ` within ${spanOf(failures).toFixed(1)} s`;
  return {
    ...{ failures, failed: failures.length },
    requests: `${failures.length} of ${requests.length} failed${within}, p95 ${p95} ms`,
  };
}

/** Seconds from the first of these moments to the last. */
export function spanOf(moments: readonly number[]): number {
  return moments.length === 0 ? 0 : (Math.max(...moments) - Math.min(...moments)) / 1000;
}

/** Asks once, of this moment. */
export async function answers(question: Question): Promise<boolean> {
  return await isAnswered(question, await readFile(join(STATE, "acme-root.pem")));
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

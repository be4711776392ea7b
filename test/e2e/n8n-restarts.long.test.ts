/** Restarts of n8n that no visitor notices. */
import { beforeAll, describe, expect, it } from "vitest";

import { ask, ensureStarted, operator } from "./rehearsal.ts";

beforeAll(ensureStarted);

/** How many visitors ask at the same time, and how long each rests; together less than one address may ask. */
const VISITORS = 5;
const REST_MS = 500;

interface Asked {
  readonly status: number | string;
  readonly seconds: number;
}

/** Two kinds of requests that n8n answers, over and over: a question, and one that is refused for being empty. */
async function visit(goesOn: () => boolean): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (let turn = 0; goesOn(); turn++) {
    const isQuestion = turn % 2 === 0;
    const body = JSON.stringify(isQuestion ? { question: "Comment purger le circuit hydraulique ?" } : {});
    const headers = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
    const began = performance.now();
    const status = await ask("/api/question", { method: "POST", body, headers, timeoutMs: 100_000 }).then(
      (answer) => (answer.status === (isQuestion ? 200 : 400) ? "as expected" : answer.status),
      (error: Error) => error.message,
    );
    asked.push({ status, seconds: (performance.now() - began) / 1000 });
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  }
  return asked;
}

describe("n8n", () => {
  it("restarts ten times under load without a failed request", async () => {
    let goesOn = true;
    const visits = Array.from({ length: VISITORS }, () => visit(() => goesOn));
    const restarts = await operator(["node", "test/e2e/restart-n8n.ts", "test", "10"]).finally(() => {
      goesOn = false;
    });
    const asked = (await Promise.all(visits)).flat();

    expect(restarts).toMatchObject({ code: 0 });
    expect(restarts.stderr.match(/the gateway holds the requests to n8n/g)).toHaveLength(10);
    expect(asked.filter(({ status }) => status !== "as expected")).toEqual([]);
    expect(asked.length).toBeGreaterThan(500);
    const longest = Math.max(...asked.map(({ seconds }) => seconds));
    console.log(
      `n8n restarted ten times: ${asked.length} requests, the longest took ${longest.toFixed(1)} s`,
    );
    // One that waits longer is answered 503 by the gateway.
    expect(longest).toBeLessThan(60);
  });
});

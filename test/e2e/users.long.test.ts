/** What the team's documents promise for one server: 20 users, 50 questions a minute, less than 70 % of its processors and 60 % of its memory. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";

import { beforeAll, describe, expect, it } from "vitest";

import { MANUAL, MANUAL_QUESTION } from "../../rehearsal/documents/hydraulic-purge.ts";
import { ask, ensureStarted, onServer, until } from "./rehearsal.ts";

const USERS = 20;
const QUESTIONS_A_MINUTE = 50;
const MINUTES = 3;

/** Processors of this machine, which are at most those of a real server; its memory is larger, so the server's counts. */
const SERVER = { vcores: availableParallelism(), memoryGib: 8 };

/** Without the model, which the documents leave out; the rehearsal's answers at once. */
const ANSWER_P95_SECONDS = 3;

beforeAll(ensureStarted);

const question = (): Promise<{ readonly status: number; readonly body: string }> => {
  const body = JSON.stringify({ question: MANUAL_QUESTION.question });
  const headers = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
  return ask("/api/question", { method: "POST", body, headers, timeoutMs: 60_000 });
};

async function upload(): Promise<void> {
  const boundary = "technicia-users";
  const body = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="notice.pdf"\r\ncontent-type: application/pdf\r\n\r\n`,
    ),
    await readFile(MANUAL),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  const headers = {
    "content-type": `multipart/form-data; boundary=${boundary}`,
    "content-length": String(body.length),
  };
  const { status, body: text } = await ask("/api/upload", {
    ...{ method: "POST", body, headers, timeoutMs: 60_000 },
  });
  expect(status, text).toBe(200);
}

const hasSource = (body: string) => (JSON.parse(body) as { sources?: unknown[] }).sources?.length !== 0;

/** Microseconds of processor time, and bytes that nothing could give back, of everything on the server. */
async function used(): Promise<{ readonly processor: number; readonly memory: number }> {
  const [processor = "", memory = ""] = (
    await onServer(
      "awk '/^usage_usec/ { print $2 }' /sys/fs/cgroup/cpu.stat; awk '/^(anon|shmem|kernel) / { sum += $2 } END { print sum }' /sys/fs/cgroup/memory.stat",
    )
  ).split("\n");
  return { processor: Number(processor), memory: Number(memory) };
}

/** Asks at a steady pace, and rests in between. */
async function visit(user: number, end: number): Promise<readonly { status: number; seconds: number }[]> {
  const everyMs = (USERS / QUESTIONS_A_MINUTE) * 60_000;
  const asked: { status: number; seconds: number }[] = [];
  for (let next = performance.now() + (user / USERS) * everyMs; next < end; next += everyMs) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
    const began = performance.now();
    const { status } = await question();
    asked.push({ status, seconds: (performance.now() - began) / 1000 });
  }
  return asked;
}

describe("20 users with 50 questions a minute", () => {
  it("are answered within the target, without an error, and leave the server room", async () => {
    await upload();
    await until("the manual answers", async () => {
      const { status, body } = await question();
      return status === 200 && hasSource(body);
    });
    const [before, began] = [await used(), performance.now()];
    const end = began + MINUTES * 60_000;
    const asked = (await Promise.all(Array.from({ length: USERS }, (_, user) => visit(user, end)))).flat();
    const [after, seconds] = [await used(), (performance.now() - began) / 1000];

    const sorted = asked.map((one) => one.seconds).sort((a, b) => a - b);
    const p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Infinity;
    const processor = ((after.processor - before.processor) / 1e6 / seconds / SERVER.vcores) * 100;
    const memory = (after.memory / (SERVER.memoryGib * 2 ** 30)) * 100;
    console.log(
      `${asked.length} questions of ${USERS} users in ${seconds.toFixed(0)} s: p95 ${p95.toFixed(2)} s, ` +
        `${processor.toFixed(0)} % of ${SERVER.vcores} cores, ${memory.toFixed(0)} % of ${SERVER.memoryGib} GiB`,
    );
    expect(asked.length).toBeGreaterThanOrEqual(QUESTIONS_A_MINUTE * MINUTES * 0.95);
    expect(asked.filter(({ status }) => status !== 200)).toEqual([]);
    expect(p95).toBeLessThan(ANSWER_P95_SECONDS);
    expect(processor).toBeLessThan(70);
    expect(memory).toBeLessThan(60);
  });
});

import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

import { closeConnections, countLogins } from "../logins.ts";

const SAMPLE_MS = 500;

export interface Measure {
  readonly name: string;

  /** Median where a step was run several times; NaN where it was not measured, and `target` says why. */
  readonly seconds: number;

  /** Most memory that the step's processes held at once. */
  readonly peakMib?: number;

  /** Most ssh logins that one run of the step caused. */
  readonly logins?: number;

  /** Requests that failed meanwhile. */
  readonly failed?: number;

  /** Those of how many, and how long they took: `3 of 812 failed within 1.2 s, p95 14 ms`. */
  readonly requests?: string;

  /** Whether the target was met, and which it was. */
  readonly target?: string;
}

/** Runs a step `times` times and measures it. */
export async function measure(
  name: string,
  { step, times = 1 }: { readonly step: () => Promise<unknown>; readonly times?: number },
): Promise<Measure> {
  console.error(`measuring: ${name} …`);
  const memory = watchMemory();
  const seconds: number[] = [];
  const logins: number[] = [];
  for (let time = 0; time < times; time++) {
    await closeConnections();
    const before = await countLogins();
    const began = performance.now();
    await step();
    seconds.push((performance.now() - began) / 1000);
    const after = await countLogins();
    // Where no server existed before, the step caused every login that the new one has seen.
    if (after !== undefined) logins.push(after - (before ?? 0));
  }
  return {
    name,
    seconds: seconds.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0,
    peakMib: memory.stop(),
    ...(logins.length > 0 && { logins: Math.max(...logins) }),
  };
}

/** The measure with its target: at most `limit` seconds, and `failed` requests where that is given. */
export function judged(measured: Measure, limit: number, { failed }: Pick<Measure, "failed"> = {}): Measure {
  const isMet = measured.seconds <= limit && (failed === undefined || (measured.failed ?? 0) <= failed);
  const requests = failed === undefined ? "" : ` and ${failed} failed requests`;
  return { ...measured, target: verdict(isMet, `at most ${limit.toFixed(1)} s${requests}`) };
}

/** Whether a target was met, and which it was. */
export const verdict = (isMet: boolean, limit: string): string => `${isMet ? "met" : "missed"}: ${limit}`;

/** Samples the memory of this process's descendants, and reads no other process: the measured step needs every core. */
function watchMemory(): { stop(): number } {
  let peak = 0;
  const ended = new AbortController();
  void (async () => {
    while (!ended.signal.aborted) {
      peak = Math.max(peak, await descendantsKib(process.pid));
      await delay(SAMPLE_MS);
    }
  })();
  return {
    stop() {
      ended.abort();
      return Math.round(peak / 1024);
    },
  };
}

async function descendantsKib(root: number): Promise<number> {
  let total = 0;
  for (const child of await childrenOf(root)) {
    const status = await readFile(`/proc/${child}/status`, "utf8").catch(() => "");
    total += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) + (await descendantsKib(child));
  }
  return total;
}

/** A process that has just ended has none. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const listed = threads.map((id) => readFile(`/proc/${pid}/task/${id}/children`, "utf8").catch(() => ""));
  return (await Promise.all(listed)).join(" ").split(/\s+/).filter(Boolean).map(Number);
}

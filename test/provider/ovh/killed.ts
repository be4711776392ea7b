/** A server whose provider dies at one call or another, and what is bought after all. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { expect } from "vitest";

import { ORDERED, PUBLIC_KEY } from "./given.ts";
import type { Saved } from "./stack.ts";
import type { Death, Task } from "./worker.ts";
import { startWorld, type World } from "./world.ts";

const WORKER = join(import.meta.dirname, "worker.ts");
const run = promisify(execFile);

export interface Result {
  readonly saved?: Saved;
  readonly calls: number;
  readonly failure?: string;
}

/** One run in a process of its own; undefined when it was killed. */
export async function up(task: Task): Promise<Result | undefined> {
  try {
    const { stdout } = await run(process.execPath, [WORKER, JSON.stringify(task)]);
    return JSON.parse(stdout) as Result;
  } catch (error) {
    if ((error as { signal?: string }).signal === "SIGKILL") return undefined;
    throw error;
  }
}

export function bought(world: World): object {
  const orders = world.ovh.state.orders.filter(({ vps }) => vps);
  const paths = world.ovh.calls.list("ovh").filter(({ status }) => status === 200);
  return {
    orders: orders.length,
    payments: orders.reduce((sum, { payments }) => sum + payments, 0),
    rebuilds: paths.filter(({ method, path }) => method === "POST" && path.endsWith("/rebuild")).length,
    servers: world.ovh.state.servers.map(({ displayName, imageId, publicKey }) => ({
      displayName,
      imageId,
      publicKey,
    })),
  };
}

export const ONE_OF_EACH = {
  orders: 1,
  payments: 1,
  rebuilds: 1,
  servers: [{ displayName: "technicia-test", imageId: "Debian 12", publicKey: PUBLIC_KEY }],
};

/** What is wrong after a run that was killed there and one that was not; undefined when nothing is. */
async function outcomeOf(death: Death): Promise<object | undefined> {
  const world = await startWorld();
  try {
    await up({ url: world.ovh.url, folder: world.folder, inputs: ORDERED, death });
    // The state of the engine is lost with its process.
    const stack = world.vps();
    const failure = await stack.up(ORDERED).then(() => undefined, String);
    const found = bought(world);
    return !failure && !stack.saved?.isPartial && isDeepStrictEqual(found, ONE_OF_EACH)
      ? undefined
      : { death, found, failure };
  } finally {
    await world.end();
  }
}

/** All outcomes that are wrong; two at a time, as most of the time is the start of processes. */
export async function wrongOutcomes(
  deaths: readonly Death[],
  outcome: (death: Death) => Promise<object | undefined>,
): Promise<readonly object[]> {
  const waiting = [...deaths];
  const wrong: object[] = [];
  const lane = async (): Promise<void> => {
    for (let death = waiting.shift(); death; death = waiting.shift()) {
      const found = await outcome(death);
      if (found) wrong.push(found);
    }
  };
  await Promise.all([lane(), lane()]);
  return wrong;
}

export async function countCalls(of: Death["of"]): Promise<number> {
  const world = await startWorld();
  try {
    const stack = world.vps();
    await stack.up(ORDERED);
    expect(bought(world)).toEqual(ONE_OF_EACH);
    return world.ovh.calls.list("ovh").filter(({ method }) => of === "calls" || method !== "GET").length;
  } finally {
    await world.end();
  }
}

/** Kills at every call in turn and runs again; gives what is wrong afterwards. */
export async function killAtEveryCall(when: Death["when"]): Promise<readonly object[]> {
  const count = await countCalls("calls");
  expect(count).toBeGreaterThan(40);
  const deaths = Array.from({ length: count }, (_, index): Death => ({ call: index + 1, of: "calls", when }));
  return wrongOutcomes(deaths, outcomeOf);
}

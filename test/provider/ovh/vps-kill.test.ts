import { execFile } from "node:child_process";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { describe, expect, it } from "vitest";

import type { Saved } from "./stack.ts";
import type { Death, Task } from "./worker.ts";
import { ORDERED, PUBLIC_KEY, startWorld, type World } from "./world.ts";

const WORKER = join(import.meta.dirname, "worker.ts");
const run = promisify(execFile);

interface Result {
  readonly saved?: Saved;
  readonly calls: number;
  readonly failure?: string;
}

/** One run in a process of its own; undefined when it was killed. */
async function up(task: Task): Promise<Result | undefined> {
  try {
    const { stdout } = await run(process.execPath, [WORKER, JSON.stringify(task)]);
    return JSON.parse(stdout) as Result;
  } catch (error) {
    if ((error as { signal?: string }).signal === "SIGKILL") return undefined;
    throw error;
  }
}

function bought(world: World): object {
  const orders = world.ovh.state.orders.filter(({ vps }) => vps);
  const paths = world.ovh.calls.list("ovh").filter(({ status }) => status === 200);
  return {
    orders: orders.length,
    payments: orders.reduce((sum, { payments }) => sum + payments, 0),
    rebuilds: paths.filter(({ method, path }) => method === "POST" && path.endsWith("/rebuild")).length,
    servers: world.ovh.state.servers.map(({ displayName, imageId, publicKey }) => ({ displayName, imageId, publicKey })),
  };
}

const ONE_OF_EACH = {
  orders: 1,
  payments: 1,
  rebuilds: 1,
  servers: [{ displayName: "technicia-test", imageId: "Debian 12", publicKey: PUBLIC_KEY }],
};

/** What is wrong after a run that was killed there and one that was not; undefined when nothing is. */
async function outcomeOf(death: Death): Promise<object | undefined> {
  const world = await startWorld();
  try {
    const task = { url: world.ovh.url, folder: world.folder, inputs: ORDERED };
    const first = await up({ ...task, death });
    // The state of the engine is lost with its process.
    const last = first ?? (await up(task));
    const found = bought(world);
    const isRight = last && !last.failure && last.saved && !last.saved.isPartial;
    return isRight && isDeepStrictEqual(found, ONE_OF_EACH) ? undefined : { death, found, failure: last?.failure };
  } finally {
    await world.end();
  }
}

describe("Vps whose provider is killed", () => {
  it.each(["at its answer", "before the next call"] as const)(
    "is bought, paid and installed once, whichever call was the last one (%s)",
    { timeout: 900_000 },
    async (when) => {
      const world = await startWorld();
      const whole = await up({ url: world.ovh.url, folder: world.folder, inputs: ORDERED });
      expect(whole?.failure).toBeUndefined();
      expect(bought(world)).toEqual(ONE_OF_EACH);
      await world.end();
      const calls = Array.from({ length: whole?.calls ?? 0 }, (_, index) => index + 1);
      expect(calls.length).toBeGreaterThan(40);

      const wrong: object[] = [];
      for (const call of calls) wrong.push(...[await outcomeOf({ call, of: "calls", when })].filter((one) => one !== undefined));
      expect(wrong).toEqual([]);
    },
  );

  it("is bought, paid and installed once when one run after the other dies", { timeout: 300_000 }, async () => {
    const world = await startWorld();
    try {
      const task = { url: world.ovh.url, folder: world.folder, inputs: ORDERED };
      let result: Result | undefined;
      let deaths = 0;
      while (!(result = await up({ ...task, death: { call: deaths + 1, of: "changes", when: "at its answer" } }))) deaths += 1;

      expect(result.failure).toBeUndefined();
      expect(deaths).toBeGreaterThan(5);
      expect(bought(world)).toEqual(ONE_OF_EACH);
    } finally {
      await world.end();
    }
  });
});

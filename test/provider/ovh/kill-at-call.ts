/** A server whose provider dies at one call or another, and what is bought after all. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { expect } from "vitest";

import { ORDERED, PUBLIC_KEY } from "./fixtures.ts";
import type { Saved } from "./stack.ts";
import type { Death, Task } from "./up-process.ts";
import { startOvhAccount, type OvhAccount } from "./ovh-account.ts";

const UP_PROCESS = join(import.meta.dirname, "up-process.ts");
const run = promisify(execFile);

export interface Result {
  readonly saved?: Saved;
  readonly calls: number;
  readonly failure?: string;
}

/** One run in a process of its own; undefined when it was killed. */
export async function up(task: Task): Promise<Result | undefined> {
  try {
    const { stdout } = await run(process.execPath, [UP_PROCESS, JSON.stringify(task)]);
    return JSON.parse(stdout) as Result;
  } catch (error) {
    if ((error as { signal?: string }).signal === "SIGKILL") return undefined;
    throw error;
  }
}

export function bought(account: OvhAccount): object {
  const orders = account.ovh.state.orders.filter(({ vps }) => vps);
  const paths = account.ovh.calls.list("ovh").filter(({ status }) => status === 200);
  return {
    orders: orders.length,
    payments: orders.reduce((sum, { payments }) => sum + payments, 0),
    rebuilds: paths.filter(({ method, path }) => method === "POST" && path.endsWith("/rebuild")).length,
    servers: account.ovh.state.servers.map(({ displayName, imageId, publicKey }) => ({
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
  const account = await startOvhAccount();
  try {
    await up({ url: account.ovh.url, folder: account.folder, inputs: ORDERED, death });
    // The state of the engine is lost with its process.
    const stack = account.vps();
    const failure = await stack.up(ORDERED).then(() => undefined, String);
    const found = bought(account);
    return !failure && !stack.saved?.isPartial && isDeepStrictEqual(found, ONE_OF_EACH)
      ? undefined
      : { death, found, failure };
  } finally {
    await account.end();
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
  const account = await startOvhAccount();
  try {
    const stack = account.vps();
    await stack.up(ORDERED);
    expect(bought(account)).toEqual(ONE_OF_EACH);
    return account.ovh.calls.list("ovh").filter(({ method }) => of === "calls" || method !== "GET").length;
  } finally {
    await account.end();
  }
}

/** Kills at every call in turn and runs again; gives what is wrong afterwards. */
export async function killAtEveryCall(when: Death["when"]): Promise<readonly object[]> {
  const count = await countCalls("calls");
  expect(count).toBeGreaterThan(40);
  const deaths = Array.from({ length: count }, (_, index): Death => ({ call: index + 1, of: "calls", when }));
  return wrongOutcomes(deaths, outcomeOf);
}

/** What visitors see goes wrong: who is told of what, and when. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { MINUTES, QUARTERS, SLOW } from "./faults-requests.ts";
import { expectTold, named } from "./faults.ts";
import { addFaultyWorkflows, removeFaultyWorkflows } from "./faulty-workflows.ts";
import { ensureMonitored } from "./monitored.ts";

const ROW_MS = 35 * 60_000;

beforeAll(async () => {
  await ensureMonitored();
  await addFaultyWorkflows();
});
afterAll(removeFaultyWorkflows);

describe("people are told, of nothing else, and of the end", () => {
  it.each(named(MINUTES, ...SLOW, QUARTERS))("where %s", (_, faults) => expectTold(faults), ROW_MS);
});

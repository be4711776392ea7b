/** Faults that only show after half an hour: who is told of what, and when. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { PATIENT } from "./faults-requests.ts";
import { expectTold, named } from "./faults.ts";
import { addFaultyWorkflows, removeFaultyWorkflows } from "./faulty-workflows.ts";
import { ensureMonitored } from "./monitored.ts";

const ROW_MS = 60 * 60_000;

beforeAll(async () => {
  await ensureMonitored();
  await addFaultyWorkflows();
});
afterAll(removeFaultyWorkflows);

describe("people are told, of nothing else, and of the end", () => {
  it.each(named(PATIENT))("where %s", (_, faults) => expectTold(faults), ROW_MS);
});

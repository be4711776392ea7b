/** Certificates, backups, drills and checks: who is told of what, and when. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { RECORDS } from "./faults-records.ts";
import { expectTold, named } from "./faults.ts";
import { ensureMonitored } from "./monitored.ts";
import { startAgain } from "./rehearsal.ts";

const ROW_MS = 30 * 60_000;

beforeAll(ensureMonitored);
afterAll(startAgain);

describe("people are told, of nothing else, and of the end", () => {
  it.each(named(...RECORDS))("where %s", (_, faults) => expectTold(faults), ROW_MS);
});

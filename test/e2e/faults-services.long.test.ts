/** Every service stopped and killed, and one that answers 500: who is told of what, and when. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { expectNoDrift } from "./drift-check.ts";
import { expectTold, named } from "./faults.ts";
import { ILL, KILLED, STOPPED } from "./faults-services.ts";
import { ensureMonitored } from "./monitored.ts";
import { startAgain } from "./rehearsal.ts";

const ROW_MS = 30 * 60_000;

beforeAll(ensureMonitored);
afterAll(startAgain);

describe("people are told, of nothing else, and of the end", () => {
  it.each(named(...STOPPED, ILL, KILLED))("where %s", (_, faults) => expectTold(faults), ROW_MS);

  it("and nothing is left of it on the server", expectNoDrift);
});

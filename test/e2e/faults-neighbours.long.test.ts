/** Environments that no longer tell anybody anything: their neighbours do. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { NEIGHBOUR_CLOSED, SILENCES, viewsOf } from "./faults-neighbours.ts";
import { expectTold } from "./faults.ts";
import { addNeighbour, removeNeighbour, untilHeard } from "./neighbour.ts";

const ROW_MS = 45 * 60_000;

beforeAll(addNeighbour);
afterAll(removeNeighbour);

describe("a neighbour tells people, of nothing else, and of the end", () => {
  it.each([NEIGHBOUR_CLOSED, ...SILENCES].map((fault) => [fault.name, fault] as const))(
    "where %s, and hears it again afterwards",
    async (_, fault) => {
      await expectTold(viewsOf(fault));
      await untilHeard();
    },
    ROW_MS,
  );
});

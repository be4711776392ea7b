/** What only another environment can tell: that this one is gone, cut off, or not there for its visitors; and how available it was. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readTold } from "../../rehearsal/bench/told.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import { START, STOP } from "./faults-services.ts";
import { CLOSED, CUT, GONE, type SeenFault, UNMEASURED, viewsOf } from "./faults-neighbours.ts";
import { expectTold, perform } from "./faults.ts";
import { activeAlerts, FIRST, firedSince, SECOND } from "./monitored.ts";
import {
  addNeighbour,
  cut,
  mend,
  removeNeighbour,
  unavailableSeconds,
  untilHeard,
  VIEWS,
} from "./neighbour.ts";
import { onServer, until } from "./rehearsal.ts";

const ROW_MS = 45 * 60_000;

/** Probes come every 15 seconds: one at either end may count or not, and of those before there may be one more than fit. */
const SAMPLES_SECONDS = 45;

/** Until the program that looks has begun again. */
const START_SECONDS = 60;

beforeAll(addNeighbour);
afterAll(removeNeighbour);

describe("the neighbour tells people, of nothing else, and of the end", () => {
  it.each([GONE, CUT].map((fault) => [fault.name, fault] as const))(
    "where %s",
    async (_, fault) => {
      await expectTold(viewsOf(fault));
      await untilHeard();
    },
    ROW_MS,
  );
});

/** The same fault, and how long it lasted in seconds. */
function timed(fault: SeenFault): { readonly fault: SeenFault; readonly lasted: () => number } {
  const times: number[] = [];
  const noting = (step: SeenFault["inject"]) => async () => {
    times.push(Date.now());
    await perform(step, fault.on);
    times.push(Date.now());
  };
  return {
    fault: { ...fault, inject: noting(fault.inject), repair: noting(fault.repair) },
    lasted: () => ((times[2] ?? NaN) - (times[1] ?? NaN)) / 1000,
  };
}

describe("the availability of a month is that from outside", () => {
  it(
    "where no visitor gets to the site, of which the neighbour tells and the site itself sees nothing",
    async () => {
      const { fault, lasted } = timed(CLOSED);
      const [outside, own] = [await unavailableSeconds(VIEWS.outside), await unavailableSeconds(VIEWS.own)];

      await expectTold(viewsOf(fault));

      const more = (await unavailableSeconds(VIEWS.outside)) - outside;
      console.log(`${lasted().toFixed(0)} s without visitors count as ${more.toFixed(0)} s from outside`);
      expect(more).toBeGreaterThanOrEqual(lasted() - SAMPLES_SECONDS);
      expect(more).toBeLessThanOrEqual(lasted() + SAMPLES_SECONDS);
      expect((await unavailableSeconds(VIEWS.own)) - own).toBeLessThanOrEqual(SAMPLES_SECONDS);
    },
    ROW_MS,
  );

  it(
    "where nobody looks from outside: what was not measured counts as unavailable",
    async () => {
      const { fault, lasted } = timed(UNMEASURED);
      const before = await unavailableSeconds(VIEWS.outside);

      await expectTold(viewsOf(fault));

      const more = (await unavailableSeconds(VIEWS.outside)) - before;
      console.log(`${lasted().toFixed(0)} s without samples count as ${more.toFixed(0)} s`);
      expect(more).toBeGreaterThanOrEqual(lasted() - SAMPLES_SECONDS);
      expect(more).toBeLessThanOrEqual(lasted() + START_SECONDS + SAMPLES_SECONDS);
    },
    ROW_MS,
  );
});

const calm = () =>
  until(
    "nothing to be wrong",
    async () => (await Promise.all([FIRST, SECOND].map(activeAlerts))).flat().length === 0,
    900,
  );

describe("a server whose network was cut", () => {
  it(
    "tells people of what happened meanwhile as soon as it is back",
    async () => {
      await calm();
      const since = Date.now();
      const ID = "ServiceDown-vector-store";
      await cut(DATACENTRE.server, "all");
      try {
        await onServer(`set -e; ${STOP("vector-store")}`);
        await until(`${ID} to fire`, async () => (await firedSince(since)).includes(ID), 240);
        expect((await readTold(since)).filter(({ stack }) => stack === FIRST.stack)).toEqual([]);
      } finally {
        await mend();
      }
      const back = Date.now();
      await until(
        "people to be told of the vector store",
        async () => {
          const told = (await readTold(back)).filter(({ id, stack }) => id === ID && stack === FIRST.stack);
          return ["team", "slack", "pager"].every((one) => told.some(({ receiver }) => receiver === one));
        },
        120,
      ).finally(() => onServer(`set -e; ${START("vector-store")}`));
      await calm();
    },
    ROW_MS,
  );
});

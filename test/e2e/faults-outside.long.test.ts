/** What only another environment can tell: that this one is gone, blind or cut off; and what this one tells of another. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import { readTold } from "../../rehearsal/bench/told.ts";
import { ROUTER, SERVER } from "../../rehearsal/world.ts";
import { START, STOP } from "./faults-services.ts";
import { NEIGHBOURS } from "./faults-neighbours.ts";
import { expectTold, named } from "./faults.ts";
import { activeAlerts, ensureMonitored, idsOf } from "./monitored.ts";
import { addNeighbour, heard, NEIGHBOUR, removeNeighbour, SIGN_SECONDS } from "./neighbour.ts";
import { askHealth, onServer, until } from "./rehearsal.ts";

const ROW_MS = 25 * 60_000;

/** Two signs that should have come have not. */
const SILENT_SECONDS = 150;

/** A neighbour is told of another's silence after five minutes; this is the way there. */
const LATEST_SECONDS = 360;

beforeAll(async () => {
  await ensureMonitored();
  await addNeighbour();
});
afterAll(removeNeighbour);

describe("people are told, of nothing else, and of the end", () => {
  it.each(named(...NEIGHBOURS))("where %s", (_, faults) => expectTold(faults), ROW_MS);
});

async function untilCalm(): Promise<void> {
  await until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 900);
}

async function untilSilent(): Promise<void> {
  const began = Date.now();
  await until(
    "the neighbour to hear nothing",
    async () => (await heard()) > SILENT_SECONDS,
    LATEST_SECONDS + SILENT_SECONDS,
  );
  const seconds = (Date.now() - began) / 1000;
  console.log(`the neighbour has heard nothing for ${SILENT_SECONDS} s, ${seconds.toFixed(0)} s after`);
  // Five minutes of silence are then over before this time.
  expect(seconds - SILENT_SECONDS).toBeLessThanOrEqual(LATEST_SECONDS - 300 + SIGN_SECONDS);
}

const untilHeard = () => until("the neighbour to hear again", async () => (await heard()) < 75, 300);

describe("a neighbour hears no sign of life any more", () => {
  it.each(["metrics", "metric-rules", "alerts"])(
    "where %s is stopped, and hears it again afterwards",
    async (alias) => {
      await untilCalm();
      await untilHeard();
      await onServer(`set -e; ${STOP(alias)}`);
      try {
        await untilSilent();
      } finally {
        await onServer(`set -e; ${START(alias)}`);
      }
      await untilHeard();
    },
    ROW_MS,
  );

  it(
    "where the server's network is cut, and people hear of what happened meanwhile as soon as it is back",
    async () => {
      await untilCalm();
      await untilHeard();
      const since = Date.now();
      const nft = (rules: string) => run(["docker", "exec", ROUTER, "nft", rules]);
      await nft(
        `add table ip cut; add chain ip cut forward { type filter hook forward priority -10; }; add rule ip cut forward ip saddr ${DATACENTRE.server} drop; add rule ip cut forward ip daddr ${DATACENTRE.server} drop`,
      );
      try {
        await onServer(`set -e; ${STOP("vector-store")}`);
        await untilSilent();
        expect(await readTold(since)).toEqual([]);
      } finally {
        await nft("delete table ip cut");
      }
      const back = Date.now();
      await untilHeard();
      await until(
        "people to be told of the vector store",
        async () => {
          const told = (await readTold(back)).filter(({ id }) => id === "ServiceDown-vector-store");
          return ["team", "slack", "pager"].every((one) => told.some(({ receiver }) => receiver === one));
        },
        120,
      );
      await onServer(`set -e; ${START("vector-store")}`);
      await untilCalm();
    },
    ROW_MS,
  );

  it(
    "where the server is gone, and hears it again once it has booted, which raises no alert that stays",
    async () => {
      await untilCalm();
      await untilHeard();
      await run(["docker", "stop", "--time", "30", SERVER]);
      try {
        await untilSilent();
      } finally {
        await run(["docker", "start", SERVER]);
      }
      await until("TechnicIA answers again", () => askHealth().then(() => true), 300);
      await untilHeard();
      await untilCalm();
    },
    ROW_MS,
  );
});

/** Of a second environment, next to the first; the rehearsal's addresses and names are those of one server today. */
const SECOND = `${SERVER}-${NEIGHBOUR}`;
const second = await tryRun(["docker", "container", "inspect", SECOND]).catch(() => undefined);

// Needs: a second server in the rehearsal's datacentre (a name, addresses, a stack of its own in `rehearsal/world.ts` and `addresses.ts`), and
// both stacks deployed with each other as neighbours, the same `neighbourToken`, and the same mail server and pager.
describe.skipIf(second?.code !== 0)(`the second environment (skipped without a container ${SECOND})`, () => {
  it(
    "tells people that the first one's server is gone",
    async () => {
      const since = Date.now();
      await run(["docker", "stop", "--time", "30", SERVER]);
      try {
        await until(
          "people to be told",
          async () => (await readTold(since)).some(({ id }) => id === "NeighbourDown-test"),
          LATEST_SECONDS,
        );
        expect(idsOf(await activeAlerts().catch(() => []))).toEqual([]);
        const told = (await readTold(since)).filter(({ status }) => status === "firing");
        expect([...new Set(told.map(({ id }) => id))]).toEqual(["NeighbourDown-test"]);
      } finally {
        await run(["docker", "start", SERVER]);
      }
      await until("TechnicIA answers again", () => askHealth().then(() => true), 300);
    },
    ROW_MS,
  );
});

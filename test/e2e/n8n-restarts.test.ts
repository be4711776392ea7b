/** Restarts of n8n that no visitor notices. */
import { beforeAll, describe, expect, it } from "vitest";

import { longestOf, startLoad, visitorsOf } from "../../rehearsal/bench/visitors.ts";
import { rehearsedEntry } from "../../rehearsal/question.ts";
import { DOMAIN, ensureStarted, operator } from "./rehearsal.ts";

beforeAll(ensureStarted);

/** All come from one address, which may have 100 requests open: as many as come in 50 s, longer than a restart takes on a busy machine. */
const PER_SECOND = 2;

describe("n8n", () => {
  it("restarts ten times under load without a failed request", async () => {
    const visitors = await visitorsOf(await rehearsedEntry(`https://${DOMAIN}`));
    const load = startLoad(visitors, { perSecond: PER_SECOND, kinds: ["question"] });
    let visits: Awaited<ReturnType<typeof load.stop>> = [];
    const restarts = await operator(["node", "test/e2e/restart-n8n.ts", "test", "10"]).finally(async () => {
      visits = await load.stop();
    });

    expect(restarts).toMatchObject({ code: 0 });
    expect(restarts.stderr.match(/the gateway holds the requests to n8n/g)).toHaveLength(10);
    expect(visits.flatMap(({ failure = [] }) => failure)).toEqual([]);
    expect(visits.length).toBeGreaterThan(300);
    const longest = longestOf(visits);
    console.log(
      `n8n restarted ten times: ${visits.length} questions, the longest took ${longest.toFixed(1)} s`,
    );
    // One that waits longer is answered 503 by the gateway.
    expect(longest).toBeLessThan(60);
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { monitoringReader } from "../../../ops/documents/monitored.ts";
import { startStores, type DoubleStores } from "../monitoring/double-stores.ts";
import { fire, SERVICE_DOWN } from "../monitoring/fired.ts";
import { TestWorld } from "../monitoring/test-world.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z") / 1000;
const HALF_DAY = 12 * 3600;

let stores: DoubleStores;
let world: TestWorld;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const read = async () => {
  const monitored = await monitoringReader(world.world)("test");
  if (monitored === "off") throw new Error("it is off");
  return monitored;
};

describe("what the page reads of the monitoring", () => {
  it("is a mean of each half day of a month, with gaps, and the alerts", async () => {
    stores.answers.set("metrics /api/v1/query_range", ({ form }) => {
      const isP95 = form["query"]!.includes('stats_result="p95"');
      const values = [
        [NOW - 2 * HALF_DAY, "0.5"],
        [NOW, "0.7"],
      ];
      return { body: { data: { result: isP95 ? [{ metric: {}, values }] : [] } } };
    });
    fire(stores, { labels: SERVICE_DOWN, from: "2026-11-20T10:00:00Z", until: "2026-11-20T10:12:00Z" });
    const { points, alerts, pointHours, availability } = await read();

    expect([points.length, pointHours]).toEqual([60, 12]);
    expect(points.slice(-3).map(({ p50Seconds, p95Seconds }) => [p50Seconds, p95Seconds])).toEqual([
      [undefined, 0.5],
      [undefined, undefined],
      [undefined, 0.7],
    ]);
    expect(points.at(-1)!.at).toEqual(new Date(NOW * 1000));
    expect(alerts).toEqual([
      {
        ...{ id: "ServiceDown-qdrant", severity: "P1", isActive: false, quiet: undefined },
        ...{ from: new Date("2026-11-20T10:00:00Z"), until: new Date("2026-11-20T10:12:00Z") },
      },
    ]);
    expect(availability).toEqual([]);
  });

  it("is the neighbours' view of the availability over 30 days, and since when", async () => {
    world.monitoring = {
      enabled: true,
      neighbours: [{ stack: "staging", url: "https://staging.exemple.fr" }],
    };
    world.secrets = { neighbourToken: "0123456789abcdef0123456789abcdef" };
    stores.answers.set("metrics /api/v1/query", ({ form }) => {
      const query = form["query"]!;
      const value = query.startsWith("min(tfirst_over_time(") ? String(NOW - 864_000) : "99.93";
      const isAsked = query.includes('probe_success{job="neighbour",stack="test"}[30d]');
      return { body: { data: { result: isAsked ? [{ metric: {}, value: [NOW, value] }] : [] } } };
    });

    expect((await read()).availability).toEqual([
      { by: "staging", percent: 99.93, since: new Date((NOW - 864_000) * 1000) },
    ]);

    stores.give("metrics /api/v1/query", { data: { result: [] } });
    expect((await read()).availability).toEqual([{ by: "staging", percent: undefined, since: undefined }]);
  });

  it("is that monitoring is off", async () => {
    world.monitoring = { enabled: false };

    expect(await monitoringReader(world.world)("test")).toBe("off");
  });

  it("fails where the store does not answer", async () => {
    stores.down.add("metrics");

    await expect(read()).rejects.toThrow("metrics on debian@203.0.113.10:22 does not answer");
  });
});

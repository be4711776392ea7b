import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { showMetrics } from "../../../ops/monitoring/metrics.ts";
import { knownUsage } from "../../../ops/monitoring/usage.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

let stores: DoubleStores;
let world: TestWorld;
let cache: string;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "usage-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  stores.give("metrics /api/v1/query_range", { data: { result: [] } });
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  await rm(cache, { recursive: true });
});

const series = (model: string, stats_result: string, value: string) => ({
  metric: { model, stats_result },
  value: [0, value],
});

/** The store's answer to the question for tokens of each model, and nothing to any other. */
function answer(result: readonly object[] | { readonly status: number }): void {
  stores.answers.set("metrics /api/v1/query", ({ form }) => {
    if (!form["query"]!.includes("by (model, stats_result)")) return { body: { data: { result: [] } } };
    return "status" in result ? { status: result.status, body: "no" } : { body: { data: { result } } };
  });
}

describe("the use of language models", () => {
  it("is kept by npm run metrics, for the cost: tokens of each model over 30 days", async () => {
    answer([
      series("claude-a", "input", "1200.4"),
      series("claude-a", "output", "340"),
      series("claude-b", "input", "NaN"),
    ]);
    expect(await knownUsage(environmentWith())).toBeUndefined();
    await showMetrics({ stack: "test", json: false }, world.world);

    expect(await knownUsage(environmentWith())).toEqual({
      at: "2026-11-24T10:00:00.000Z",
      models: { "claude-a": { input: 1200, output: 340 }, "claude-b": { input: 0, output: 0 } },
    });
    expect(await knownUsage(environmentWith({ domain: "autre.exemple.fr" }))).toBeUndefined();
  });

  it("stays what it was where the store refuses the question, and the metrics are shown", async () => {
    answer([series("claude-a", "input", "7")]);
    await showMetrics({ stack: "test", json: false }, world.world);
    answer({ status: 422 });
    const { exitCode } = await showMetrics({ stack: "test", json: false }, world.world);

    expect(exitCode).toBe(0);
    expect((await knownUsage(environmentWith()))?.models).toEqual({ "claude-a": { input: 7, output: 0 } });
  });
});

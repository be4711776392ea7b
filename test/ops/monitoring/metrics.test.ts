import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { enabledAliases } from "../../../common/services.ts";
import { metricRules } from "../../../components/monitoring/metric-rules.ts";
import { metricsOf } from "../../../ops/monitoring/metric-catalog.ts";
import { markOf, showMetrics, sparkline } from "../../../ops/monitoring/metrics.ts";
import { monitoringFacts } from "../../components/monitoring/facts.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { listed, three } from "../../support/servers.ts";
import { startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z") / 1000;

let cache: string;
let stores: DoubleStores;
let world: TestWorld;

/** Part of a query → its value; the first that fits counts. */
let values: Record<string, string | Record<string, string>>;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "metrics-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  values = {};
  const found = (query: string) => Object.entries(values).find(([part]) => query.includes(part))?.[1];
  const rows = (query: string) => {
    const value = found(query);
    if (value === undefined) return [];
    if (typeof value === "string") return [{ metric: {}, text: value }];
    return Object.entries(value).map(([service, text]) => ({ metric: { service }, text }));
  };
  stores.answers.set("metrics /api/v1/query", ({ form }) => ({
    body: {
      data: { result: rows(form["query"]!).map(({ metric, text }) => ({ metric, value: [NOW, text] })) },
    },
  }));
  stores.answers.set("metrics /api/v1/query_range", ({ form }) => ({
    body: {
      data: {
        result: rows(form["query"]!).map(({ metric, text }) => ({
          metric,
          values: [
            [NOW - 23 * 3600, "1"],
            [NOW - 3600, "2"],
            [NOW, text],
          ],
        })),
      },
    },
  }));
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  await rm(cache, { recursive: true });
});

const metrics = (json = false) => showMetrics({ stack: "test", json }, world.world);

describe("npm run metrics", () => {
  it("says of everything that it has no data, and never 0", async () => {
    const { text, exitCode } = await metrics();
    const rows = text.split("\n").slice(2, -1);

    expect(exitCode).toBe(0);
    expect(rows.length).toBeGreaterThan(15);
    for (const row of rows) expect(row).toMatch(/(no data +){3}.*no data +no data$/);
    expect(text.split("\n").at(-1)).toBe(
      "Availability, from outside: nobody measures it: technicia:monitoring.neighbours is empty",
    );
  });

  it("shows each value now, over a day and over a month, its threshold, a mark and a chart", async () => {
    values = {
      'stats_result="p95"}))[24h': "1.5",
      'stats_result="p95"}))[30d': "1.25",
      'stats_result="p95"': "2.5",
      node_load5: "0.5",
    };
    const { text } = await metrics();

    expect(text).toMatch(/Answers, p95 +2\.50 s +1\.50 s +1\.25 s +mean +≤ 2 s +over +▁·{21}▆█/);
    expect(text).toMatch(/Load for each core +0\.50 +0\.50 +0\.50 +highest +≤ 1 +ok/);
    expect(text).toMatch(/Answers, p50 +no data/);
  });

  it("shows the memory of each service against its limit", async () => {
    values = { technicia_container_memory_working_set_bytes: { qdrant: "83.4", n8n: "12" } };
    const { text } = await metrics();

    expect(text).toMatch(/Memory of n8n +12\.0 % .* ok /);
    expect(text).toMatch(/Memory of qdrant +83\.4 % .* over /);
  });

  it("takes the thresholds of the settings", async () => {
    values = { 'stats_result="p95"': "2.5" };
    world.monitoring = { enabled: true, thresholds: { latency: { p2P95Seconds: 4 } } };

    expect((await metrics()).text).toMatch(/Answers, p95 .* ≤ 4 s +ok/);
  });

  it("takes the availability that a neighbour has measured from its own server", async () => {
    world.monitoring = {
      enabled: true,
      neighbours: [{ stack: "staging", url: "https://staging.exemple.fr" }],
    };
    world.secrets = { neighbourToken: "0123456789abcdef0123456789abcdef" };
    values = { 'job="neighbour",stack="test"': "99.95" };
    const { text } = await metrics();

    expect(text).toMatch(/Availability, from staging +99\.950 % +99\.950 % +99\.950 %/);
  });

  it("counts missing samples as unavailable, back to the first that there was", () => {
    const [own] = metricsOf(environmentWith());
    const query = own!.over({ text: "30d", seconds: 2_592_000 });

    expect(query).toBe(
      'clamp_max(100 * sum(sum_over_time(probe_success{job="public"}[30d])) * 15 / clamp_max(time() - min(tfirst_over_time(probe_success{job="public"}[35d])) + 15, 2592000), 100)',
    );
  });

  it("counts the starts of each service by itself, as the rule does whose limit it shows", () => {
    const environment = environmentWith();
    const { now } = metricsOf(environment).find(({ key }) => key === "restarts")!;
    const facts = monitoringFacts({ services: enabledAliases(environment) });
    const { expr } = metricRules(facts).find(({ name }) => name === "CrashLoop")!;

    expect(`${now.replace(/^max\((.*)\)$/, "$1")} > 2`).toBe(expr);
  });

  it("counts questions, answers, uploads, documents and tokens, each window once", async () => {
    values = {
      'group="question",stats_result="requests"}))[24h:5m]': "480",
      'group="question",stats_result="requests"}))[30d:5m]': "14000",
      'answers{stats_result="answers"}))[24h:1h]': "31",
      '(answers{stats_result="unsourced"})': "40",
      'answers{stats_result="answers"}': "12",
      'group="question",stats_result="failed"': "2.5",
      'group="question"': "7",
      'group="upload",stats_result="failed"': "20",
    };
    const { text } = await metrics();

    expect(text).toMatch(/Questions and diagnoses in 5 min +7\.00 +480 +14000 +sum/);
    expect(text).toMatch(/Failed questions +2\.50 % .*≤ 10 % +ok/);
    expect(text).toMatch(/Answers in 1 h +12\.0 +31\.0/);
    expect(text).toMatch(/Answers without a source +40\.0 % .*≤ 30 % +over/);
    expect(text).toMatch(/Failed uploads +20\.0 % .*≤ 10 % +over/);
    const over = (key: string) =>
      metricsOf(environmentWith())
        .find((metric) => metric.key === key)!
        .over({ text: "24h", seconds: 86_400 });
    expect(over("documents")).toBe('sum_over_time((max(documents{stats_result="documents"}))[24h:1h])');
    expect(over("tokens.output")).toBe(
      'sum_over_time((sum(default_rollup(model_tokens{stats_result="output"}[1m])))[24h:5m])',
    );
  });

  it("shows the processors, memory and disks of each of several servers, and judges the worst of them elsewhere", async () => {
    world.servers = three;
    stores.answers.set("metrics /api/v1/query", ({ form }) => {
      const isMemory = form["query"]!.includes("node_memory_MemAvailable_bytes");
      const result = isMemory
        ? ["gra-1", "gra-2"].map((server, index) => ({
            metric: { server },
            value: [NOW, `${50 + 40 * index}`],
          }))
        : [];
      return { body: { data: { result } } };
    });
    const { text } = await metrics();

    expect(text).toMatch(/Memory gra-1 +50\.0 % .*ok/);
    expect(text).toMatch(/Memory gra-2 +90\.0 % .*over/);
    const nowOf = (options = {}) =>
      metricsOf(environmentWith(listed(three)), options).find(({ key }) => key === "memory")!;
    const each =
      "100 * (1 - max by (server) (node_memory_MemAvailable_bytes) / max by (server) (node_memory_MemTotal_bytes))";
    expect(nowOf({ ofEachServer: true })).toMatchObject({ now: each, by: "server" });
    expect(nowOf().now).toBe(`max(${each})`);
    expect(nowOf()).not.toHaveProperty("by");
  });

  it("shows logins by ssh and to the editor, and of those that failed the limit of the rule", async () => {
    values = {
      '(max(logins{stats_result="ssh_failed"}))[24h': "90",
      'max(logins{stats_result="ssh_failed"})[1h:5m]': "21",
      'max(logins{stats_result="editor_failed"})[1h:5m]': "10",
      'logins{stats_result="ssh"}': "2",
    };
    const { text } = await metrics();
    const { metrics: found } = JSON.parse((await metrics(true)).text) as { metrics: { key: string }[] };

    expect(text).toMatch(/Logins by ssh in 5 min +2\.00 /);
    expect(text).toMatch(/Failed logins by ssh in 1 h +21\.0 +90\.0 .*≤ 20 +over/);
    expect(text).toMatch(/Failed logins to n8n in 1 h +10\.0 .*≤ 10 +ok/);
    expect(found.map(({ key }) => key)).toEqual(
      expect.arrayContaining(["sshLogins", "sshLoginsFailed", "editorLogins", "editorLoginsFailed"]),
    );
    expect(found.find(({ key }) => key === "sshLoginsFailed")).toMatchObject({
      limit: { value: 20, setting: "monitoring.thresholds.security.sshFailuresPerHour" },
    });
  });

  it("says which metric the store refuses, and shows the others", async () => {
    values = { node_load5: "0.5" };
    const query = stores.answers.get("metrics /api/v1/query")!;
    stores.answers.set("metrics /api/v1/query", (call) =>
      call.form["query"]!.includes("concurrent") ? { status: 422, body: "too complex" } : query(call),
    );
    const { text } = await metrics();

    expect(text).toContain(
      "Requests at the same time: metrics /api/v1/query: it refuses with 422: too complex",
    );
    expect(text).toMatch(/Load for each core +0\.50/);
  });

  it("fails where the store does not answer", async () => {
    stores.down.add("metrics");

    await expect(metrics()).rejects.toThrow("metrics on debian@203.0.113.10:22 does not answer");
  });

  it("prints the same for a program, with null for what is missing", async () => {
    values = { node_load5: "NaN", "100 * (1 - max(node_memory": "61" };
    const found = JSON.parse((await metrics(true)).text) as { readonly metrics: readonly { key: string }[] };
    const of = (key: string) => found.metrics.find((metric) => metric.key === key);

    expect(of("load")).toMatchObject({ now: null, mark: "no data" });
    expect(of("memory")).toMatchObject({
      ...{ now: 61, unit: "%", mark: "over" },
      limit: { value: 60, side: "above", setting: "monitoring.thresholds.memory.p3Percent" },
    });
  });
});

describe("a chart", () => {
  it.each([
    [[], "no data"],
    [[undefined, undefined], "no data"],
    [[0, 0, 0], "▁▁▁"],
    [[5, 5], "▅▅"],
    [[0, undefined, 10], "▁·█"],
    [[0, 5, 10], "▁▅█"],
  ])("of %j is %s", (points, shown) => {
    expect(sparkline(points)).toBe(shown);
  });
});

describe("a mark", () => {
  const metric = metricsOf(environmentWith()).find(({ key }) => key === "certificateDays")!;

  it.each([
    [15, "ok"],
    [14, "ok"],
    [13.9, "over"],
    [undefined, "no data"],
  ])("of a certificate of %s days is %s", (now, mark) => {
    expect(markOf({ metric, now })).toBe(mark);
  });
});

/** The rules of several servers in the real stores: each fault is a row of its own, with its server. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import { renderDashboards } from "../../../components/monitoring/dashboards.ts";
import { STORED_AS } from "../../../components/monitoring/intake.ts";
import { logRules, renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { aftermathRules } from "../../../components/monitoring/rules/aftermath.ts";
import { escalationRules } from "../../../components/monitoring/rules/own-health.ts";
import type { Rule } from "../../../components/monitoring/rules/rule.ts";
import { monitoringProgram } from "../../support/monitoring-programs.ts";
import { monitoringFacts, SEVERAL } from "./facts.ts";
import { post, type Row, rowsOf, type RunningProgram, startLogs, startMetrics } from "./program.ts";

const facts = monitoringFacts(SEVERAL);
const NOW = Math.floor(Date.now() / 1000) - 60;
let metrics: RunningProgram;
let logs: RunningProgram;

beforeAll(async () => {
  metrics = await startMetrics();
  logs = await startLogs();
});
afterAll(async () => {
  await metrics.stop();
  await logs.stop();
});

/** Samples as each server's collector sends them, of the last minutes; a case has a label of its own. */
async function sent(name: string, samples: Readonly<Record<string, readonly string[]>>, ago = 0) {
  const ages = [0, 15, 30, 45, 60].map((age) => age + ago);
  for (const [server, lines] of Object.entries(samples)) {
    const text = lines.flatMap((line) => {
      const [, metric = "", labels = "", value = ""] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const all = [`case="${name}"`, ...(labels === "" ? [] : [labels])].join(",");
      return ages.map((age) => `${metric}{${all}} ${value} ${(NOW - age) * 1000}`);
    });
    await post(`${metrics.url}${STORED_AS.metrics(server)}`, text.join("\n"));
  }
  await post(`${metrics.url}/internal/force_flush`, "");
}

async function asked(expr: string, name: string): Promise<readonly Row[]> {
  const query = new URLSearchParams({ query: expr, time: String(NOW), nocache: "1" });
  query.append("extra_filters[]", `{case="${name}"}`);
  return rowsOf(await post(`${metrics.url}/api/v1/query`, query));
}

const ruleOf = (name: string): Rule =>
  [...metricRules(facts), ...logRules(facts)].find((rule) => rule.name === name)!;
const rowsFor = async (rule: string, name: string) =>
  (await asked(ruleOf(rule).expr, name)).map(({ metric, value }) => ({ ...metric, value: Number(value[1]) }));

describe("a rule about a server", () => {
  it("finds the one whose memory is used up, however much the others have", async () => {
    const memory = (available: number) => [
      `node_memory_MemAvailable_bytes ${available}`,
      "node_memory_MemTotal_bytes 100",
    ];
    await sent("memory", { "gra-1": memory(60), "gra-2": memory(5), "sbg-1": memory(50) });

    expect(await rowsFor("HostMemoryCritical", "memory")).toEqual([{ server: "gra-2", value: 95 }]);
  });

  it("counts the cores of each for its load", async () => {
    const loaded = (load: number, cores: number) => [
      `node_load5 ${load}`,
      ...Array.from({ length: cores }, (_, cpu) => `node_cpu_seconds_total{mode="idle",cpu="${cpu}"} 1`),
    ];
    await sent("load", { "gra-1": loaded(8, 8), "sbg-1": loaded(4, 1) });

    expect(await rowsFor("LoadCritical", "load")).toEqual([{ server: "sbg-1", value: 4 }]);
  });

  it("names disk and server", async () => {
    const disk = (free: number) => [
      `node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"} ${free}`,
      'node_filesystem_size_bytes{mountpoint="/",fstype="ext4"} 100',
    ];
    await sent("disk", { "gra-1": disk(50), "gra-2": disk(4) });

    expect(await rowsFor("DiskCritical", "disk")).toEqual([{ server: "gra-2", mountpoint: "/", value: 96 }]);
  });

  it("finds each whose collector is silent", async () => {
    await sent("silent", { "gra-1": ["technicia_collector_seconds 1"] });
    await sent("silent", { "sbg-1": ["technicia_collector_seconds 1"] }, 300);

    const rows = await rowsFor("CollectorSilent", "silent");
    expect(rows.map(({ value, ...metric }) => [metric, value])).toEqual([
      [{ server: "gra-2" }, 1],
      [{ server: "sbg-1" }, 1],
    ]);
  });

  it("finds one that does not answer in the tunnel", async () => {
    await sent("gone", {
      "gra-2": ['probe_success{job="server"} 0'],
      "sbg-1": ['probe_success{job="server"} 1'],
    });

    expect(await rowsFor("ServerGone", "gone")).toEqual([{ server: "gra-2", value: 0 }]);
  });
});

describe("a service with tasks on several servers", () => {
  const task = (running: number) => `technicia_service_running{service="vector-store"} ${running}`;
  const wanted = 'technicia_service_desired{service="vector-store"} 2';
  const up = 'technicia_collector_up{source="swarm"} 1';
  const others = facts.services
    .filter((alias) => alias !== "vector-store")
    .flatMap((alias) => [
      `technicia_service_desired{service="${alias}"} 1`,
      `technicia_service_running{service="${alias}"} 1`,
    ]);

  it("runs where its tasks together are as many as there should be", async () => {
    await sent("together", { "gra-1": [...others, wanted, up, task(1)], "gra-2": [wanted, up, task(1)] });

    expect(await rowsFor("ServiceNotRunning", "together")).toEqual([]);
  });

  it("does not where one of them is missing", async () => {
    await sent("fewer", { "gra-1": [...others, wanted, up, task(1)], "gra-2": [wanted, up, task(0)] });

    expect(await rowsFor("ServiceNotRunning", "fewer")).toEqual([{ service: "vector-store", value: 1 }]);
  });

  it("does not where no server has ever had a task of it, or the Swarm does not know it", async () => {
    await sent("nowhere", { "gra-1": [...others, wanted, up] });
    await sent("removed", { "gra-1": [...others, up] });

    expect(await rowsFor("ServiceNotRunning", "nowhere")).toEqual([{ service: "vector-store", value: 2 }]);
    expect(await rowsFor("ServiceNotRunning", "removed")).toEqual([{ service: "vector-store", value: 1 }]);
  });
});

describe("what follows from a fault of a server", () => {
  it("keeps its server for as long as it is remembered, and in the ladder", async () => {
    const alert = (severity: string) =>
      `ALERTS{alertname="ServerGone",alertstate="firing",severity="${severity}",id="ServerGone-gra-2"} 1`;
    await sent("after", { "gra-2": [alert("P1")] });
    const moment = aftermathRules(facts).find(({ labels }) => labels?.["span"] === "moment")!;
    const [ladder] = escalationRules(facts);

    expect((await asked(moment.expr, "after")).map(({ metric }) => metric)).toEqual([
      { cause: "ServerGone", server: "gra-2" },
    ]);
    expect((await asked(ladder!.expr, "after")).map(({ metric }) => metric)).toContainEqual({
      about: "ServerGone",
      id: "ServerGone-gra-2",
      server: "gra-2",
    });
  });
});

describe("a rule about the lines of a server", () => {
  const stamp = new Date(NOW * 1000).toISOString();
  const evaluate = async (expr: string) => {
    const query = new URLSearchParams({ query: expr, time: stamp });
    return rowsOf(await post(`${logs.url}/select/logsql/stats_query`, query));
  };

  it("finds the one whose journal does not arrive, and counts the refused logins of each", async () => {
    const _time = new Date((NOW - 30) * 1000).toISOString();
    const refused = { _time, SYSLOG_IDENTIFIER: "sshd", _SYSTEMD_UNIT: "ssh.service" };
    const line = (server: string) =>
      JSON.stringify({ ...refused, server, _msg: "Failed publickey for root from 198.51.100.7" });
    const most = facts.thresholds.security.sshFailuresPerHour;
    const lines = [...Array.from({ length: most + 1 }, () => line("gra-2")), line("sbg-1")];
    await post(`${logs.url}/insert/jsonline?_stream_fields=_SYSTEMD_UNIT,server`, lines.join("\n"));
    await post(`${logs.url}/internal/force_flush`, "");

    const silent = await Promise.all(
      logRules(facts)
        .filter(({ name }) => name === "JournalSilent")
        .map(async ({ expr, labels }) => [labels?.["server"], (await evaluate(expr)).length]),
    );
    expect(silent).toEqual([
      ["gra-1", 1],
      ["gra-2", 0],
      ["sbg-1", 0],
    ]);
    const logins = await evaluate(ruleOf("SshLoginsFailing").expr);
    expect(logins.map(({ metric, value }) => [metric["server"], value[1]])).toEqual([
      ["gra-2", String(most + 1)],
    ]);
  });
});

it("every panel of the dashboards asks what the store understands", async () => {
  const panels = Object.values(renderDashboards(facts)).flatMap((text) =>
    (JSON.parse(text) as { rows: { panels: { expr: string[] }[] }[] }).rows.flatMap((row) => row.panels),
  );
  const queries = panels.flatMap(({ expr }) => expr);

  expect(queries.filter((query) => query.includes("by (server")).length).toBeGreaterThan(8);
  await expect(Promise.all(queries.map((query) => asked(query, "memory")))).resolves.toHaveLength(
    queries.length,
  );
});

it.each([
  ["prometheus", renderMetricRules(facts)],
  ["vlogs", renderLogRules(facts)],
])("vmalert accepts the rules of the kind %s", async (kind, text) => {
  const file = join(metrics.folder, `${kind}.yml`);
  await writeFile(file, text);
  const vmalert = await monitoringProgram("vmalert");

  expect(await tryRun([vmalert, "-dryRun", `-rule.defaultRuleType=${kind}`, `-rule=${file}`])).toMatchObject({
    code: 0,
  });
});

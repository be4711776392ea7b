import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import { renderDashboards } from "../../../components/monitoring/dashboards.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { monitoringProgram } from "../../support/monitoring-programs.ts";
import { monitoringFacts } from "./facts.ts";
import { METRIC_CASES, NOW, type SeriesSet } from "./metric-cases.ts";
import { post, type Row, rowsOf, type RunningProgram, startMetrics } from "./program.ts";
import { labelsIn } from "./templates.ts";

const facts = monitoringFacts();
const rules = metricRules(facts);
let store: RunningProgram;

/** The series of a case, told apart from those of others by a label. */
function exposition(name: string, series: SeriesSet): string[] {
  return Object.entries(series).flatMap(([text, samples]) => {
    const [, metric = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(text) ?? [];
    const all = [`case="${name}"`, ...(labels === "" ? [] : [labels])].join(",");
    return samples.map(([ago, value]) => `${metric}{${all}} ${value} ${(NOW - ago) * 1000}`);
  });
}

async function evaluate(expr: string, name: string): Promise<readonly Row[]> {
  const query = new URLSearchParams({ query: expr, time: String(NOW), nocache: "1" });
  query.append("extra_filters[]", `{case="${name}"}`);
  return rowsOf(await post(`${store.url}/api/v1/query`, query));
}

beforeAll(async () => {
  store = await startMetrics();
  const lines = Object.entries(METRIC_CASES).flatMap(
    ([name, { below, above, alsoBelow = [], alsoAbove = [] }]) => [
      ...[below, ...alsoBelow].flatMap((series, index) => exposition(`${name}-below${index}`, series)),
      ...[above, ...alsoAbove].flatMap((series, index) => exposition(`${name}-above${index}`, series)),
    ],
  );
  await post(`${store.url}/api/v1/import/prometheus`, lines.join("\n"));
  await post(`${store.url}/internal/force_flush`, "");
});

afterAll(() => store.stop());

it("every rule has a case, and every case a rule", () => {
  expect(Object.keys(METRIC_CASES).sort()).toEqual([...new Set(rules.map(({ name }) => name))].sort());
});

describe.each(rules)("$name", (rule) => {
  const { alsoBelow = [], alsoAbove = [] } = METRIC_CASES[rule.name] ?? {};

  it.each([rule, ...alsoBelow].map((_, index) => index))(
    "is quiet just below its threshold (%i)",
    async (index) => {
      expect(await evaluate(rule.expr, `${rule.name}-below${index}`)).toEqual([]);
    },
  );

  it.each([rule, ...alsoAbove].map((_, index) => index))(
    "fires just above its threshold, once, with the labels that its texts name (%i)",
    async (index) => {
      const rows = await evaluate(rule.expr, `${rule.name}-above${index}`);
      expect(rows).toHaveLength(1);
      expect(Object.keys(rows[0]?.metric ?? {})).toEqual(expect.arrayContaining(labelsIn(rule)));
    },
  );
});

it("every panel of the dashboards asks what the store understands", async () => {
  const panels = Object.values(renderDashboards(facts)).flatMap((text) =>
    (JSON.parse(text) as { rows: { panels: { expr: string[] }[] }[] }).rows.flatMap((row) => row.panels),
  );
  const asked = panels.flatMap(({ expr }) => expr).map((expr) => evaluate(expr, "BackupLate-above0"));
  await expect(Promise.all(asked)).resolves.toHaveLength(asked.length);
});

it("vmalert accepts the rules of every environment", async () => {
  const vmalert = await monitoringProgram("vmalert");
  const bare = {
    neighbours: [],
    backup: undefined,
    escalation: [],
    mail: undefined,
    services: ["n8n", "qdrant"],
  };
  for (const change of [{}, bare]) {
    const file = join(store.folder, "rules.yml");
    await writeFile(file, renderMetricRules(monitoringFacts(change)));
    expect(
      await tryRun([vmalert, "-dryRun", "-rule.defaultRuleType=prometheus", `-rule=${file}`]),
    ).toMatchObject({
      code: 0,
    });
  }
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import { renderDashboards } from "../../../components/monitoring/dashboards.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { aftermathRules } from "../../../components/monitoring/rules/aftermath.ts";
import { escalationRules } from "../../../components/monitoring/rules/own-health.ts";
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

describe("the aftermath of a fault", () => {
  const ServiceDown =
    'ALERTS{alertname="ServiceDown",alertstate="firing",service="n8n",job="inside",id="ServiceDown-n8n"}';
  const spans = Object.fromEntries(aftermathRules(facts).map((rule) => [rule.labels?.["span"] ?? "", rule]));

  beforeAll(async () => {
    const ages = [119, 121, 389, 391, 989, 991];
    const lines = ages.flatMap((age) => exposition(`after-${age}`, { [ServiceDown]: [[age, 1]] }));
    await post(`${store.url}/api/v1/import/prometheus`, lines.join("\n"));
    await post(`${store.url}/internal/force_flush`, "");
  });

  it.each([
    ["moment", 119, 121],
    ["minutes", 389, 391],
    ["quarter", 989, 991],
  ])("lasts as long as the rules of its effects look back: %s", async (span, within, beyond) => {
    const { expr } = spans[span]!;

    expect((await evaluate(expr, `after-${within}`)).map(({ metric }) => metric)).toEqual([
      { cause: "ServiceDown", service: "n8n", job: "inside" },
    ]);
    expect(await evaluate(expr, `after-${beyond}`)).toEqual([]);
  });
});

it("the ladder of the escalation begins without the store, which does not keep the alert that it is full", async () => {
  const [{ expr } = { expr: "" }] = escalationRules(facts);
  const rows = await evaluate(expr, "StoreReadOnly-above1");

  expect(rows.map(({ metric }) => metric)).toEqual([{ about: "StoreReadOnly", id: "StoreReadOnly-metrics" }]);
  expect(await evaluate(expr, "StoreReadOnly-below0")).toEqual([]);
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

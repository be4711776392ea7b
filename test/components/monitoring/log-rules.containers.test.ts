import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import { logRecordings, logRules, renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { monitoringProgram } from "../../support/monitoring-programs.ts";
import { monitoringFacts } from "./facts.ts";
import { type Line, LOG_CASES, times } from "./log-cases.ts";
import { post, type Row, rowsOf, type RunningProgram, startLogs } from "./program.ts";
import { labelsIn } from "./templates.ts";

const facts = monitoringFacts();
const rules = logRules(facts);
const NOW = Math.floor(Date.now() / 1000);
let store: RunningProgram;

/** The lines of a case, told apart from those of others by a field. */
const jsonLines = (name: string, lines: readonly Line[]) =>
  lines.map(({ ago, fields }) =>
    JSON.stringify({ ...fields, case: name, _time: new Date((NOW - ago) * 1000).toISOString() }),
  );

async function evaluate(expr: string, name: string): Promise<readonly Row[]> {
  const query = new URLSearchParams({
    query: expr,
    time: new Date(NOW * 1000).toISOString(),
    extra_filters: `case:="${name}"`,
  });
  return rowsOf(await post(`${store.url}/select/logsql/stats_query`, query));
}

beforeAll(async () => {
  store = await startLogs();
  const lines = Object.entries(LOG_CASES).flatMap(([name, { below, above, sample }]) => [
    ...jsonLines(`${name}-below`, below),
    ...jsonLines(`${name}-above`, above),
    ...(sample === undefined
      ? []
      : [
          ...jsonLines(`${name}-few`, times(sample.least - 1, sample.line)),
          ...jsonLines(`${name}-enough`, times(sample.least, sample.line)),
        ]),
  ]);
  await post(`${store.url}/insert/jsonline?_stream_fields=app_name,CONTAINER_TAG`, lines.join("\n"));
  await post(`${store.url}/internal/force_flush`, "");
});

afterAll(() => store.stop());

it("every rule has a case, and every case a rule", () => {
  expect(Object.keys(LOG_CASES).sort()).toEqual(rules.map(({ name }) => name).sort());
});

describe.each(rules)("$name", (rule) => {
  it("is quiet just below its threshold", async () => {
    expect(await evaluate(rule.expr, `${rule.name}-below`)).toEqual([]);
  });

  it("fires just above its threshold, once, with the labels that its texts name", async () => {
    const rows = await evaluate(rule.expr, `${rule.name}-above`);
    expect(rows).toHaveLength(1);
    expect(Object.keys(rows[0]?.metric ?? {})).toEqual(expect.arrayContaining(labelsIn(rule)));
  });

  it("does not fail where there is no line at all", async () => {
    await expect(evaluate(rule.expr, "nothing")).resolves.toBeInstanceOf(Array);
  });
});

describe("a rule about a share or a time", () => {
  const sampled = rules.filter(({ name }) => LOG_CASES[name]?.sample !== undefined);

  it("has a case of too few lines", () => {
    const asking = rules.filter(({ expr }) => /filter (total|answers):>=/.test(expr));

    expect(sampled.map(({ name }) => name)).toEqual(asking.map(({ name }) => name));
  });

  it.each(sampled)(
    "is quiet with one line less than it needs, however bad, and judges from there on: $name",
    async (rule) => {
      expect(await evaluate(rule.expr, `${rule.name}-few`)).toEqual([]);
      expect(await evaluate(rule.expr, `${rule.name}-enough`)).toHaveLength(1);
    },
  );
});

describe("what is kept for dashboards and reports", () => {
  const values = async (record: string, group: string | undefined, name: string) => {
    const found: Record<string, number> = {};
    for (const recording of logRecordings(facts)) {
      if (recording.record !== record || recording.labels?.["group"] !== group) continue;
      for (const { metric, value } of await evaluate(recording.expr, name))
        found[[metric["service"], metric["__name__"]].filter(Boolean).join(" ")] = Number(value[1]);
    }
    return found;
  };

  it("counts all requests, and measures those that should be answered at once", async () => {
    expect(await values("gateway", "all", "LatencyMedian-above")).toMatchObject({
      ...{ requests: 23, failed: 0, refused: 0, measured: 20 },
      p50: 0.51,
      concurrent: expect.closeTo((12 * 0.51 + 8 * 0.1 + 350) / 300, 5) as number,
    });
  });

  it("measures questions and uploads apart", async () => {
    expect(await values("gateway", "question", "QuestionsFailing-above")).toMatchObject({
      requests: 11,
      failed: 2,
      p95: 5,
    });
    expect(await values("gateway", "upload", "UploadsFailing-above")).toMatchObject({
      requests: 11,
      failed: 2,
      p95: 60,
    });
  });

  it("has no times, and no error, where nothing was asked", async () => {
    expect(await values("gateway", "all", "nothing")).toEqual({ requests: 0, failed: 0, refused: 0 });
  });

  it("counts logins, lines, errors and answers", async () => {
    expect(await values("logins", undefined, "EditorLoginsFailing-below")).toMatchObject({
      editor: 5,
      editor_failed: 10,
    });
    expect(await values("log_lines", undefined, "LogFlood-above")).toEqual({
      "n8n lines": 3000,
      "ssh.service lines": 3001,
    });
    expect(await values("log_errors", undefined, "CriticalErrors-below")).toEqual({
      "n8n errors": 5,
      "vector-store errors": 5,
    });
    expect(await values("answers", undefined, "AnswersWithoutSource-above")).toEqual({
      answers: 20,
      unsourced: 7,
    });
  });
});

it("vmalert accepts the rules of every environment", async () => {
  const vmalert = await monitoringProgram("vmalert");
  for (const change of [{}, { neighbours: [], languageModelRoutes: [], uploadRoutes: [] }]) {
    const file = join(store.folder, "rules.yml");
    await writeFile(file, renderLogRules(monitoringFacts(change)));
    expect(await tryRun([vmalert, "-dryRun", "-rule.defaultRuleType=vlogs", `-rule=${file}`])).toMatchObject({
      code: 0,
    });
  }
});

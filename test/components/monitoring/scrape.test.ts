import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderDashboards } from "../../../components/monitoring/dashboards.ts";
import { renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { renderProbes } from "../../../components/monitoring/probes.ts";
import { renderScrape } from "../../../components/monitoring/scrape.ts";
import { metricsOf } from "../../../ops/monitoring/metric-catalog.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { monitoringFacts } from "./facts.ts";

interface Job {
  readonly job_name: string;
  readonly params?: { readonly module: readonly string[] };
  readonly authorization?: object;
  readonly metric_relabel_configs: readonly { readonly action: string; readonly regex: string }[];
  readonly static_configs: readonly { readonly targets: readonly string[]; readonly labels?: object }[];
}

const jobsOf = (change = {}) =>
  (parse(renderScrape(monitoringFacts(change))) as { scrape_configs: Job[] }).scrape_configs;
const modulesOf = (change = {}) =>
  (parse(renderProbes(monitoringFacts(change))) as { modules: Record<string, object> }).modules;

describe("what is scraped", () => {
  it("is asked with modules that the blackbox exporter has", () => {
    const asked = jobsOf().flatMap(({ params }) => params?.module ?? []);
    expect(Object.keys(modulesOf())).toEqual(expect.arrayContaining(asked));
  });

  it("has a probe for each service that answers on a port, and no other", () => {
    const probed = (change = {}) =>
      jobsOf(change)
        .filter(({ job_name }) => job_name.startsWith("inside"))
        .flatMap(({ static_configs }) => static_configs.flatMap(({ targets }) => targets));
    expect(probed()).toHaveLength(7);
    expect(probed({ services: ["n8n", "qdrant", "vector-store", "gateway"] })).toEqual([
      "http://n8n:5678/healthz/readiness",
      "http://qdrant:6333/readyz",
      "http://vector-store:8000/health",
    ]);
  });

  it("gives Qdrant the key only where there is one", () => {
    const qdrant = (qdrantApiKey: boolean) =>
      jobsOf({ qdrantApiKey }).find(({ job_name }) => job_name === "qdrant");
    expect(qdrant(true)?.authorization).toEqual({
      type: "Bearer",
      credentials_file: "/run/secrets/qdrant_api_key",
    });
    expect(qdrant(false)?.authorization).toBeUndefined();
  });

  it("probes a neighbour by its health route, and judges its certificate where its authority is known", () => {
    const neighbours = [
      { stack: "staging", url: "https://staging.exemple.fr", trusted: true },
      { stack: "test", url: "https://test.exemple.fr", trusted: false },
    ];
    const found = jobsOf({ neighbours }).filter(({ job_name }) => job_name.startsWith("neighbour"));
    expect(found.map(({ params, static_configs }) => [params?.module[0], static_configs[0]])).toEqual([
      [
        "neighbour",
        { targets: ["https://staging.exemple.fr/healthz"], labels: { stack: "staging", job: "neighbour" } },
      ],
      [
        "neighbour_untrusted",
        { targets: ["https://test.exemple.fr/healthz"], labels: { stack: "test", job: "neighbour" } },
      ],
    ]);
  });

  it("asks each other gateway by its address for the public name, whatever certificate it presents", () => {
    const otherGateways = [
      { server: "gra-2", address: "10.86.3.7" },
      { server: "gra-3", address: "10.86.9.1" },
    ];
    const [found, ...others] = jobsOf({ otherGateways }).filter(({ job_name }) => job_name === "gateway");

    expect(others).toEqual([]);
    expect(found?.params).toEqual({ module: ["neighbour_untrusted"], hostname: ["technicia.exemple.fr"] });
    expect(found?.static_configs).toEqual([
      { targets: ["https://10.86.3.7/healthz"], labels: { server: "gra-2", job: "gateway" } },
      { targets: ["https://10.86.9.1/healthz"], labels: { server: "gra-3", job: "gateway" } },
    ]);
    expect(jobsOf().map(({ job_name }) => job_name)).not.toContain("gateway");
  });

  it("judges the public certificate only where browsers would", () => {
    expect(JSON.stringify(modulesOf({ trusted: true })["public"])).not.toContain("insecure");
    expect(JSON.stringify(modulesOf({ trusted: false })["public"])).toContain('"insecure_skip_verify":true');
  });
});

/** Every text that an expression of groups and classes fits: `v[ml]_(rows|up)`. */
function expand(expression: string): string[] {
  const [whole, group] = /\(([^()]*)\)|\[\w+\]/.exec(expression) ?? [];
  if (whole === undefined) return expression.split("|");
  const choices = group === undefined ? [...whole.slice(1, -1)] : group.split("|");
  return choices.flatMap((choice) => expand(expression.replace(whole, choice)));
}

/** Names of the series in a query that the programs of the monitoring give about themselves. */
function ownSeriesIn(query: string): string[] {
  const selected = [...query.matchAll(/__name__=~"([^"]+)"/g)].flatMap(([, names]) => expand(names!));
  const named = query.replaceAll(/__name__=~"[^"]+"/g, "").match(/\b[a-z]+_[a-z_]+/g) ?? [];
  return [...selected, ...named].filter((name) => /^(?:process|vm|vl|vmalert|alertmanager)_/.test(name));
}

describe("what the monitoring's programs give about themselves", () => {
  const queriesOf = (text: string) =>
    (parse(text) as { groups: { rules: { expr: string }[] }[] }).groups.flatMap(({ rules }) =>
      rules.map(({ expr }) => expr),
    );
  const facts = monitoringFacts();
  const asked = {
    rules: [renderMetricRules(facts), renderLogRules(facts)].flatMap(queriesOf),
    dashboards: Object.values(renderDashboards(facts)).flatMap((text) =>
      (JSON.parse(text) as { rows: { panels: { expr: string[] }[] }[] }).rows.flatMap(({ panels }) =>
        panels.flatMap(({ expr }) => expr),
      ),
    ),
    "the catalogue of metrics": metricsOf(environmentWith()).flatMap(({ now, over }) => [
      now,
      over({ text: "24h", seconds: 86_400 }),
    ]),
  };
  const kept = Object.fromEntries(
    jobsOf().flatMap(({ job_name, metric_relabel_configs }) =>
      metric_relabel_configs.flatMap(({ action, regex }) =>
        action === "keep" ? [[job_name, new RegExp(`^(?:${regex})$`)]] : [],
      ),
    ),
  );

  it.each(Object.entries(asked))("is kept where %s read it", (_who, queries) => {
    const names = [...new Set(queries.flatMap(ownSeriesIn))];
    for (const [job, regex] of Object.entries(kept))
      expect(
        names.filter((name) => !regex.test(name)),
        job,
      ).toEqual([]);
  });

  it("is found in the queries, and filtered for each program", () => {
    expect(asked.rules.flatMap(ownSeriesIn)).toEqual(
      expect.arrayContaining([
        "alertmanager_notification_requests_total",
        "vmalert_recording_rules_errors_total",
        "vm_storage_is_read_only",
      ]),
    );
    expect(asked.dashboards.flatMap(ownSeriesIn)).toContain("vl_data_size_bytes");
    expect(Object.keys(kept)).toEqual(["metrics", "logs", "metric-rules", "log-rules", "alerts", "probes"]);
  });
});

describe("the dashboards", () => {
  it("are three, each with rows of panels that have a title and a query", () => {
    const files = renderDashboards(monitoringFacts());
    expect(Object.keys(files)).toEqual(["users.json", "services.json", "host.json"]);
    for (const text of Object.values(files)) {
      const { title, rows } = JSON.parse(text) as {
        title: string;
        rows: { panels: { title: string; expr: string[] }[] }[];
      };
      expect(title).toContain("(prod)");
      const panels = rows.flatMap((row) => row.panels);
      expect(panels.length).toBeGreaterThan(5);
      for (const panel of panels)
        expect([panel.title, panel.expr.join("")].filter((text) => text === "")).toEqual([]);
    }
  });
});

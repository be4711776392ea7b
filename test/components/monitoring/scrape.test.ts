import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderDashboards } from "../../../components/monitoring/dashboards.ts";
import { renderProbes } from "../../../components/monitoring/probes.ts";
import { renderScrape } from "../../../components/monitoring/scrape.ts";
import { monitoringFacts } from "./facts.ts";

interface Job {
  readonly job_name: string;
  readonly params?: { readonly module: readonly string[] };
  readonly authorization?: object;
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

  it("judges the public certificate only where browsers would", () => {
    expect(JSON.stringify(modulesOf({ trusted: true })["public"])).not.toContain("insecure");
    expect(JSON.stringify(modulesOf({ trusted: false })["public"])).toContain('"insecure_skip_verify":true');
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

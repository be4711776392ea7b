/** The rules of several servers: each names the server that it is about, and an only server's are as they were. */
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import { inhibitedNames, inhibitionsFor } from "../../../components/monitoring/inhibitions.ts";
import { logRules, renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { aftermathRules } from "../../../components/monitoring/rules/aftermath.ts";
import { escalationRules } from "../../../components/monitoring/rules/own-health.ts";
import { renderScrape } from "../../../components/monitoring/scrape.ts";
import { silencesFor } from "../../../common/planned-alerts.ts";
import { monitoringFacts, SEVERAL } from "./facts.ts";

const one = monitoringFacts();
const several = monitoringFacts(SEVERAL);

interface Rendered {
  readonly alert?: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const renderedOf = (facts: typeof one) =>
  [renderMetricRules(facts), renderLogRules(facts)]
    .flatMap((text) => (parse(text) as { groups: { rules: Rendered[] }[] }).groups)
    .flatMap(({ rules }) => rules)
    .filter(({ alert }) => alert !== undefined);

/** What is measured of a server, or of something on it. */
const OF_EACH = [
  ...["HostMemoryCritical", "HostMemoryHigh", "HostMemoryExhausted", "HostMemoryElevated"],
  ...["HostMemoryAboveTarget", "AvailableMemoryCritical", "AvailableMemoryLow"],
  ...["CpuHigh", "LoadCritical", "LoadHigh"],
  ...["DiskCritical", "DiskFreeLow", "DiskWarning", "DiskFullSoon", "InodesLow"],
  ...["UnitFailed", "ClockUnsynchronised", "ClockOffset", "PatchesPending", "RebootPending"],
  ...["CollectorSilent", "CollectorSourceDown", "CollectorSlow", "SshLoginsFailing", "ServerGone"],
];

describe("the rules about a server", () => {
  const found = renderedOf(several).filter(({ alert = "" }) => OF_EACH.includes(alert));

  it("are the same rules, of each of several servers", () => {
    expect(found.map(({ alert }) => alert).sort()).toEqual([...OF_EACH].sort());
    const marked = [...metricRules(several), ...logRules(several)].filter(({ isOfServer }) => isOfServer);
    expect(marked.map(({ name }) => name).sort()).toEqual([...OF_EACH].sort());
  });

  it.each(found.map((rule) => [rule.alert ?? "", rule] as const))(
    "%s names the server in its id and its French texts, and keeps servers apart",
    (_name, { expr, labels, annotations }) => {
      expect(labels["id"]).toContain("{{ $labels.server }}");
      expect(annotations["title"]).toContain("{{ $labels.server }}");
      expect(annotations["where"]).toContain("serveur {{ $labels.server }}");
      expect(annotations["title"]).not.toMatch(/serveur(?! \{\{)/);
      expect(expr).toMatch(/by \(server|server="gra-1"/);
      // The limit of one server is no reason to keep quiet about another's.
      if (labels["topic"] !== undefined) expect(labels["topic"]).toContain("{{ $labels.server }}");
    },
  );

  it("name the server in what to do", () => {
    const actionOf = (name: string) => found.find(({ alert }) => alert === name)?.annotations["action"];

    expect(actionOf("RebootPending")).toContain("npm run maintain -- prod --server {{ $labels.server }}.");
    expect(actionOf("UnitFailed")).toContain("{{ $labels.unit }} --server {{ $labels.server }}");
    expect(actionOf("ServerGone")).toContain("npm run failover -- prod --from {{ $labels.server }}");
  });

  it("say of an only server nothing of that", () => {
    expect(renderMetricRules(one) + renderLogRules(one) + renderAlertmanager(one)).not.toMatch(
      /\bserver\b|ServerGone/,
    );
  });
});

describe("silence", () => {
  it("of a server's collector is seen of each", () => {
    const { expr } = metricRules(several).find(({ name }) => name === "CollectorSilent")!;

    expect(expr).toBe(
      SEVERAL.servers
        .map(({ server }) => `absent_over_time(technicia_collector_seconds{server="${server}"}[2m])`)
        .join(" or "),
    );
  });

  it("of a server's journal is seen of each, with an id of its own", () => {
    const silent = logRules(several).filter(({ name }) => name === "JournalSilent");

    expect(silent.map(({ labels }) => labels)).toEqual(
      SEVERAL.servers.map(({ server }) => ({ server, id: `JournalSilent-${server}` })),
    );
    for (const [index, { expr, title, where }] of silent.entries()) {
      const { server } = SEVERAL.servers[index]!;
      expect(expr).toContain(`{server="${server}"}`);
      expect(title + where).toContain(server);
    }
  });
});

describe("a server that is gone", () => {
  it("is found by a probe through the tunnel, of every server but that of the monitoring", () => {
    const { scrape_configs } = parse(renderScrape(several)) as {
      scrape_configs: { job_name: string; params?: object; static_configs: object[] }[];
    };
    const probe = scrape_configs.find(({ job_name }) => job_name === "server");

    expect(probe?.params).toEqual({ module: ["port"] });
    expect(probe?.static_configs).toEqual([
      { targets: ["10.86.3.7:7946"], labels: { server: "gra-2", job: "server" } },
      { targets: ["10.86.9.1:7946"], labels: { server: "sbg-1", job: "server" } },
    ]);
    const missing = metricRules(several).find(({ name }) => name === "TargetMissing");
    expect(missing?.expr).toContain('absent(up{job="server"})');
  });

  it("holds back its own symptoms, as long as their rules see them, and no other server's", () => {
    const held = inhibitionsFor(several).filter(({ source_matchers }) =>
      source_matchers.some((matcher) => /=~"(.*\|)?ServerGone(\||")/.test(matcher)),
    );

    // Themselves and their ladder, while it fires and afterwards.
    expect(held).toHaveLength(4);
    for (const { equal } of held) expect(equal).toEqual(["server"]);
    const [target = ""] = held[0]!.target_matchers;
    for (const name of ["CollectorSilent", "JournalSilent", "UnitFailed", "HostMemoryCritical"])
      expect(target).toMatch(new RegExp(`[|"]${name}[|"]`));
    expect(target).not.toContain("ServiceNotRunning");
  });

  it("keeps its server in what is remembered of it and in the ladder, by which the rest is held back", () => {
    for (const { expr } of [...aftermathRules(several), ...escalationRules(several)])
      expect(expr).toMatch(/^max by \((server, cause|id, .*, server)/);
  });

  it("is expected during a maintenance", () => {
    const [[names] = []] = silencesFor({ kind: "maintenance" });
    expect(names?.value.split("|")).toContain("ServerGone");
  });
});

describe("the inhibitions of several servers", () => {
  const names = new Set([...metricRules(several), ...logRules(several)].map(({ name }) => name));

  it("name alerts that exist", () => {
    expect(inhibitedNames(several).filter((name) => !names.has(name))).toEqual([]);
  });

  it("hold back an alert of a server by one of the same alone", () => {
    const between = inhibitionsFor(several).filter(({ source_matchers: [source = ""], target_matchers }) => {
      const [target = ""] = target_matchers;
      const only = (matcher: string) =>
        matcher.startsWith("alertname=~") &&
        (/"(.*)"/.exec(matcher)?.[1] ?? "").split("|").every((name) => OF_EACH.includes(name));
      return only(source) && only(target);
    });

    expect(between.length).toBeGreaterThan(4);
    for (const { equal } of between) expect(equal).toEqual(["server"]);
  });

  it("hold back a missing backup by the silence of the server that makes them alone", () => {
    const backup = inhibitionsFor(several).filter(({ target_matchers }) =>
      target_matchers.some((matcher) => matcher.includes("BackupMissing")),
    );
    const ofCollector = backup.filter(({ source_matchers }) =>
      source_matchers.join().includes("CollectorSilent"),
    );

    expect(ofCollector.length).toBeGreaterThan(0);
    for (const { source_matchers } of ofCollector) expect(source_matchers).toContain('server="gra-1"');
  });
});

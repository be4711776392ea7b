import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import type { MonitoringFacts } from "../../../components/monitoring/facts.ts";
import { effectsAfter, inhibitedNames, inhibitionsFor } from "../../../components/monitoring/inhibitions.ts";
import { logRules, renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { aftermathRules } from "../../../components/monitoring/rules/aftermath.ts";
import { escalationRules, watchdogRule } from "../../../components/monitoring/rules/own-health.ts";
import type { Thresholds } from "../../../components/monitoring/thresholds.ts";
import {
  alertThresholds,
  type Thresholds as Settings,
  thresholds,
} from "../../../stacks/thresholds-schema.ts";
import { monitoringFacts, SEVERAL } from "./facts.ts";

const facts = monitoringFacts();
const faults = [...metricRules(facts), ...logRules(facts)];
const others = [...escalationRules(facts), ...aftermathRules(facts), watchdogRule(facts)];
const ofSeveral = monitoringFacts(SEVERAL);
/** Of an only server, and what is judged of several alone. */
const rules = [
  ...[...faults, ...others],
  ...metricRules(ofSeveral).filter(({ name }) => faults.every((fault) => fault.name !== name)),
];
const names = new Set(rules.map(({ name }) => name));
const INHIBITIONS = inhibitionsFor(facts);
const INHIBITED_NAMES = inhibitedNames(facts);

interface RenderedRule {
  readonly alert?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const rendered = [renderMetricRules(facts), renderLogRules(facts)]
  .flatMap((text) => (parse(text) as { groups: { rules: RenderedRule[] }[] }).groups)
  .flatMap((group) => group.rules)
  .filter(({ alert }) => alert !== undefined);

/** Both files, with another value of one setting. */
const renderWith = (change: Partial<MonitoringFacts>) => {
  const other = { ...facts, ...change };
  return renderMetricRules(other) + renderLogRules(other);
};

const rulesWith = (changed: Thresholds) => {
  const other = { ...facts, thresholds: changed };
  return JSON.stringify([metricRules(other), logRules(other)]);
};

describe("the thresholds", () => {
  it("have the same shape in the settings and in the rules", () => {
    const there: Thresholds = alertThresholds(thresholds.parse(undefined));
    const back: Omit<Settings, "release"> = there;
    expect(back).toEqual(facts.thresholds);
  });

  const all = Object.entries<Readonly<Record<string, number>>>({ ...facts.thresholds }).flatMap(
    ([group, values]) => Object.entries(values).map(([name, value]) => ({ group, name, value })),
  );
  it.each(all)("$group.$name changes a rule", ({ group, name, value }) => {
    const values = facts.thresholds[group as keyof Thresholds];
    const changed = { ...facts.thresholds, [group]: { ...values, [name]: value + 1 } };
    expect(rulesWith(changed)).not.toBe(rulesWith(facts.thresholds));
  });
});

describe("the rules about the certificate", () => {
  const certificateOf = (change: Partial<MonitoringFacts>) =>
    metricRules(monitoringFacts(change)).filter(({ name }) => name.startsWith("Certificate"));

  it("read the copies of other gateways, where there are any, and change in nothing else", () => {
    const several = certificateOf({ otherGateways: [{ server: "gra-2", address: "10.86.3.7" }] });
    const usual = certificateOf({});

    for (const [index, rule] of several.entries()) {
      expect({ ...rule, expr: "" }).toEqual({ ...usual[index], expr: "" });
      const isOwn = rule.name === "CertificateWrongName";
      expect(rule.expr.includes("gateway"), rule.name).toBe(!isOwn);
      expect(usual[index]!.expr, rule.name).not.toContain("gateway");
    }
    expect(several.find(({ name }) => name === "CertificateExpired")?.expr).toContain(
      'min(probe_ssl_earliest_cert_expiry{job=~"public|gateway"}, ',
    );
    expect(several.find(({ name }) => name === "CertificatePlaceholder")?.expr).toContain(
      'or max(probe_ssl_last_chain_info{job="gateway",issuer="CN=placeholder.invalid"}) == 1',
    );
  });
});

describe("the rules", () => {
  it("each say in French what, where, how much, what it means, what to do, and where to read more", () => {
    for (const { alert = "", annotations } of rendered) {
      expect(Object.keys(annotations ?? {})).toEqual([
        "title",
        "where",
        "value",
        "threshold",
        "meaning",
        "action",
        "runbook",
      ]);
      expect(annotations?.["runbook"]).toBe(`docs/alerts.md#${alert.toLowerCase()}`);
      expect(Object.values(annotations ?? {}).filter((text) => text.trim() === "")).toEqual([]);
    }
  });

  it("each name in the message the number that decides", () => {
    const said = (changed: Thresholds) => {
      const other = { ...facts, thresholds: changed };
      return [...metricRules(other), ...logRules(other)].map(({ threshold }) => threshold).join("\n");
    };
    // How much data it takes to judge, and the time over which is counted.
    const unspoken = /^(minimum|window|minutes$)/;
    const unsaid = Object.entries<Readonly<Record<string, number>>>({ ...facts.thresholds }).flatMap(
      ([group, values]) =>
        Object.entries(values)
          .filter(([name]) => !unspoken.test(name))
          .filter(([name, value]) => {
            const changed = { ...facts.thresholds, [group]: { ...values, [name]: value + 1 } };
            return said(changed) === said(facts.thresholds);
          })
          .map(([name]) => `${group}.${name}`),
    );

    expect(unsaid).toEqual([]);
  });

  it("each have a severity, and an id of their own", () => {
    const ids = rendered.map(({ labels }) => `${labels?.["id"]} ${labels?.["level"] ?? ""}`);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { labels } of rendered) expect(labels?.["severity"]).toMatch(/^(P1|P2|P3|info)$/);
  });

  it("roll a release back for the four triggers, and for a service that cannot stay up", () => {
    const rolling = rules.filter(({ rollback }) => rollback).map(({ name }) => name);
    expect(rolling.sort()).toEqual([
      ...[
        "CrashLoop",
        "CriticalErrors",
        "ErrorRateCritical",
        "HealthFailing",
        "LatencyCritical",
        "OutOfMemory",
      ],
    ]);
    for (const { severity, rollback } of rules) if (rollback) expect(severity).toBe("P1");
  });

  it("each have a section of the runbook with their level, and no section is left over", async () => {
    const text = await readFile(new URL("../../../docs/alerts.md", import.meta.url), "utf8");
    const sections = new Map(
      text
        .split(/^## /m)
        .slice(1)
        .map((section) => [section.slice(0, section.indexOf("\n")), section]),
    );
    expect([...sections.keys()].sort()).toEqual(["Test", ...names].sort());
    for (const { name, severity, rollback } of rules) {
      expect(sections.get(name), name).toContain(`\n_${severity === "info" ? "information" : severity}`);
      expect(sections.get(name)?.includes("annule une mise en production")).toBe(rollback === true);
      expect(sections.get(name), name).toMatch(/\n- \*\*Regarder\*\* : .+\n- \*\*Faire\*\* : .+/);
    }
    for (const [, anchor = ""] of text.matchAll(/\]\(#([\w-]+)\)/g))
      expect([...sections.keys()].map((name) => name.toLowerCase())).toContain(anchor);
  });

  it("ask only about what an environment has", () => {
    const text = renderWith({ neighbours: [], backup: undefined, escalation: [] });
    for (const name of ["NeighbourDown", "NeighbourSilent", "BackupTooOld", "DrillOverdue", "Escalation"])
      expect(text).not.toContain(`alert: ${name}\n`);
    expect(renderWith({ backup: { hours: 1, maxAgeHours: 3, drillDays: undefined } })).not.toContain(
      "DrillOverdue",
    );
  });

  it("count failures in a row by evaluations, one for each sample, and the site's one longer than a service's, which explains it", () => {
    const seconds = (scrapeSeconds: number) =>
      metricRules({ ...facts, scrapeSeconds })
        .filter(({ name }) => ["SiteDown", "ServiceDown"].includes(name))
        .map(({ forSeconds }) => forSeconds);
    expect(seconds(15)).toEqual([60, 45]);
    expect(seconds(5)).toEqual([20, 15]);
  });

  it("tell what follows from a full store later than the store", () => {
    const forOf = (name: string) => faults.find((rule) => rule.name === name)?.forSeconds ?? 0;
    expect(forOf("LinesDropped")).toBeGreaterThan(forOf("StoreReadOnly"));
    expect(forOf("RuleErrors")).toBeGreaterThan(forOf("MonitoringDown") + 30);
  });

  it("tell of no failure that is over, where failures are counted over some time and have to last", () => {
    for (const name of ["RuleErrors", "AlertsNotSent", "NotificationsFailing"]) {
      const { expr = "", forSeconds = 0 } = faults.find((rule) => rule.name === name) ?? {};
      const window = Number(/\[(\d+)s\]/.exec(expr)?.[1]);
      // The sample before the window counts as well.
      expect(window + facts.scrapeSeconds, name).toBeLessThan(forSeconds);
    }
  });

  it("ask for every service that is declared, and for none of the monitoring's own, whether it runs", () => {
    const { expr = "" } = faults.find(({ name }) => name === "ServiceNotRunning") ?? {};
    const asked = [...expr.matchAll(/absent\(technicia_service_desired\{service="([\w-]+)"\}\)/g)].map(
      ([, alias]) => alias,
    );
    const monitoring = ["metrics", "logs", "metric-rules", "log-rules", "alerts", "probes"];
    expect(asked.sort()).toEqual(facts.services.filter((alias) => !monitoring.includes(alias)).sort());
  });

  it("escalate in the order and after the minutes of the settings", () => {
    const levels = escalationRules(facts).map(({ labels, forSeconds }) => [labels?.["level"], forSeconds]);
    expect(levels).toEqual([
      ["N1", 300],
      ["N2", 900],
      ["N3", 1800],
      ["N4", 3600],
    ]);
  });
});

/** Names in `alertname=~"A|B"`. */
const namesIn = (matcher: string) => (/"(.*)"$/.exec(matcher)?.[1] ?? "").split("|");

/** Effects that look back for longer than their cause is remembered: it takes more than a cause that is over for them to begin. */
const LOOKS_FURTHER = ["UploadsSlow", "JournalSilent", "CollectorSilent"];

describe("the inhibitions", () => {
  it("name alerts that exist", () => {
    expect([...new Set(INHIBITED_NAMES)].filter((name) => !names.has(name))).toEqual([]);
  });

  it("hold back one shortage of memory told in another way, of the same severity", () => {
    const memory = faults.filter(({ topic }) => topic === "memory");
    const isHeldBack = (source: string, target: string) =>
      INHIBITIONS.some(
        ({ source_matchers: [from = ""], target_matchers: [to = ""] }) =>
          from.startsWith("alertname=~") && namesIn(from).includes(source) && namesIn(to).includes(target),
      );
    const pairs = memory.flatMap((one) =>
      memory
        .filter((other) => other.name < one.name && other.severity === one.severity)
        .map((other) => [one, other]),
    );

    expect(pairs.length).toBeGreaterThan(3);
    for (const [one, other] of pairs as [(typeof memory)[0], (typeof memory)[0]][])
      expect(
        isHeldBack(one.name, other.name) || isHeldBack(other.name, one.name),
        `${one.name}, ${other.name}`,
      ).toBe(true);
    // The graver one is there as soon.
    const waits = Object.fromEntries(memory.map(({ name, forSeconds }) => [name, forSeconds]));
    expect(waits["HostMemoryExhausted"]).toBeGreaterThanOrEqual(waits["HostMemoryCritical"] ?? Infinity);
  });

  it("hold back every effect for as long after its cause as its rule looks back", () => {
    const seconds = Object.fromEntries(
      aftermathRules(facts).map(({ labels, expr }) => [
        labels?.["span"] ?? "",
        Number(/\[(\d+)s\]/.exec(expr)?.[1]),
      ]),
    );
    const units = { s: 1, m: 60, h: 3600 } as const;
    for (const cause of new Set(INHIBITED_NAMES))
      for (const span of ["moment", "minutes", "quarter"] as const)
        for (const effect of effectsAfter(cause, span)) {
          if (LOOKS_FURTHER.includes(effect)) continue;
          const { expr = "" } = faults.find(({ name }) => name === effect) ?? {};
          const windows = [...expr.matchAll(/(?:\[|_time:)(\d+)([smh])\]?/g)].map(
            ([, count = "", unit]) => Number(count) * units[unit as keyof typeof units],
          );
          // Until the effect's last sample is seen, and for the two rounds that it goes on.
          expect(seconds[span], `${effect} after ${cause}`).toBeGreaterThan(Math.max(0, ...windows) + 60);
        }
  });

  it("never concern the sign of life", () => {
    const about = INHIBITIONS.flatMap(({ target_matchers }) => target_matchers);
    expect(about.filter((matcher) => matcher.includes("Watchdog"))).toEqual([]);
    for (const { target_matchers } of INHIBITIONS)
      expect(target_matchers.some((matcher) => /^(alertname|topic)/.test(matcher))).toBe(true);
    expect(rendered.find(({ alert }) => alert === "Watchdog")?.labels).toEqual({
      severity: "info",
      id: "Watchdog",
    });
  });

  it("hold back no alert by one that it holds back itself", () => {
    const pairs = INHIBITIONS.map(({ source_matchers, target_matchers }) => [
      source_matchers[0],
      target_matchers[0],
    ]);
    for (const [source = "", target = ""] of pairs)
      if (source.startsWith("alertname=~") && target.startsWith("alertname=~"))
        expect(pairs).not.toContainEqual([target, source]);
  });
});

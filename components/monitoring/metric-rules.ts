import { stringify } from "yaml";

import type { MonitoringFacts } from "./facts.ts";
import { aftermathRules } from "./rules/aftermath.ts";
import { hostRules } from "./rules/host.ts";
import { escalationRules, ownHealthRules, watchdogRule } from "./rules/own-health.ts";
import { recordRules } from "./rules/records.ts";
import { evaluationOf, HEADER, renderRule, type Rule } from "./rules/rule.ts";
import { siteRules } from "./rules/site.ts";

/** Every alert that the metrics' vmalert evaluates, without those about alerts and the sign of life. */
export function metricRules(facts: MonitoringFacts): Rule[] {
  return [...siteRules(facts), ...hostRules(facts), ...recordRules(facts), ...ownHealthRules(facts)];
}

/** The rule file of the metrics' vmalert. */
export function renderMetricRules(facts: MonitoringFacts): string {
  const evaluation = evaluationOf(facts);
  const hold = 2 * facts.scrapeSeconds;
  const group = (name: string, rules: readonly Rule[], holdSeconds = 0) => ({
    ...{ name, ...evaluation },
    rules: rules.map((rule) => renderRule(rule, holdSeconds)),
  });
  const ladder = escalationRules(facts);
  const groups = [
    group("watchdog", [watchdogRule(facts)]),
    group("alerts", metricRules(facts), hold),
    group("aftermath", aftermathRules(facts)),
    ...(ladder.length === 0 ? [] : [group("escalation", ladder)]),
  ];
  return HEADER + stringify({ groups }, { lineWidth: 0 });
}

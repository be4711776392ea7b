import { stringify } from "yaml";

import type { MonitoringFacts } from "./facts.ts";
import { accessRules, usageRecordings } from "./rules/access.ts";
import { lineRules, lineRecordings } from "./rules/lines.ts";
import { evaluationOf, HEADER, type Recording, renderRule, type Rule } from "./rules/rule.ts";

/** Every alert that the logs' vmalert evaluates. */
export function logRules(facts: MonitoringFacts): Rule[] {
  return [...accessRules(facts), ...lineRules(facts)];
}

/** Series that the logs' vmalert writes to the metrics' store. */
export function logRecordings(facts: MonitoringFacts): Recording[] {
  return [...usageRecordings(facts), ...lineRecordings(facts)];
}

/** The rule file of the logs' vmalert. */
export function renderLogRules(facts: MonitoringFacts): string {
  const common = { type: "vlogs", ...evaluationOf(facts) };
  const hold = 2 * facts.scrapeSeconds;
  const groups = [
    { name: "series", ...common, rules: logRecordings(facts) },
    { name: "log-alerts", ...common, rules: logRules(facts).map((rule) => renderRule(rule, hold)) },
  ];
  return HEADER + stringify({ groups }, { lineWidth: 0 });
}

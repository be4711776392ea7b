import { renderRule, type Rule } from "../../../components/monitoring/rules/rule.ts";

/** Labels of the rows that a rule's own labels and texts name. */
export function labelsIn(rule: Rule): string[] {
  const { labels, annotations } = renderRule(rule);
  const texts = [...Object.values(labels), ...Object.values(annotations)].join("\n");
  return [...new Set([...texts.matchAll(/\$labels\.(\w+)/g)].map(([, name = ""]) => name))];
}

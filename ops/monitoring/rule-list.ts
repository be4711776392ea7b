/** `npm run alerts -- <stack> rules`: what is watched, with which threshold, and whether each rule works. */
import type { Outcome } from "../command.ts";
import { renderTable } from "../terminal.ts";
import { clean, FOUND } from "./alerts.ts";
import { onMonitored } from "./deployed.ts";
import { renderSpan } from "./durations.ts";
import { readRules, type Rule } from "./vmalert.ts";
import type { MonitoringWorld } from "./world.ts";

const ORDER = ["P1", "P2", "P3", "info", ""];

export async function listRules(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: MonitoringWorld,
): Promise<Outcome> {
  return await onMonitored(stack, world, async ({ stores }) => {
    const { rules, silent } = await readRules(stores);
    const sorted = [...rules].sort(
      (one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name),
    );
    const broken = rules.filter(({ error }) => error !== undefined);
    const exitCode = silent.length + broken.length === 0 && rules.length > 0 ? 0 : FOUND;
    const problems = silent.map(({ message }) => message);
    if (json) {
      const listed = sorted.map((rule) => ({ ...rule, threshold: thresholdOf(rule), alerts: undefined }));
      return { text: JSON.stringify({ stack, problems, rules: listed }, null, 2), exitCode };
    }
    const now = world.now();
    const sections = [
      problems.join("\n"),
      rules.length === 0 ? `${stack}: no rule is known` : renderRules(sorted, now),
      broken.map(({ name, error }) => `${name}: ${clean(error ?? "")}`).join("\n"),
    ];
    return { text: sections.filter((section) => section !== "").join("\n\n"), exitCode };
  });
}

function rank({ labels }: Rule): number {
  return ORDER.indexOf(labels["severity"] ?? "");
}

function renderRules(rules: readonly Rule[], now: Date): string {
  return renderTable({
    headings: ["Rule", "Severity", "Threshold", "For", "State", "Evaluated", "Runbook"],
    rows: rules.map((rule) => [
      rule.name,
      rule.isAlerting ? (rule.labels["severity"] ?? "?") : "recorded",
      rule.isAlerting ? thresholdOf(rule) : "",
      rule.forSeconds === 0 ? "" : renderSpan(rule.forSeconds),
      rule.error === undefined ? stateOf(rule) : "error",
      rule.lastEvaluation === ""
        ? "never"
        : `${renderSpan((now.getTime() - Date.parse(rule.lastEvaluation)) / 1000)} ago`,
      (rule.annotations["runbook"] ?? "").replace(/^.*#/, "#"),
    ]),
  });
}

function stateOf({ state, isAlerting }: Rule): string {
  if (!isAlerting) return "ok";
  return state === "" ? "inactive" : state;
}

/** As the rule says it, or the comparisons of its expression: `> 0.05`. */
export function thresholdOf({ annotations, query }: Pick<Rule, "annotations" | "query">): string {
  if (annotations["threshold"] !== undefined) return annotations["threshold"];
  const found = query.matchAll(/(?:\b[\w.]+:)?(>=|<=|==|!=|>|<)\s*(-?[\d.]+[a-z]*)/gi);
  return [...new Set([...found].map(([text]) => text.trim()))].join(", ");
}

/** The time after a fault, in which the windows of other rules still see it. */
import { AFTERMATH } from "../../../common/planned-alerts.ts";
import type { MonitoringFacts } from "../facts.ts";
import { causesWith, type Span } from "../inhibitions.ts";
import { by, label, minutes, type Rule } from "./rule.ts";

/**
 * Seconds after a cause's last evaluation. An effect may begin to fire two rounds after the repair, and goes on for its window, the next
 * evaluation and two rounds.
 */
function spans({ thresholds, scrapeSeconds }: MonitoringFacts): Readonly<Record<Span, number>> {
  const { errors, restarts, n8n } = thresholds;
  const rounds = (count: number) => count * scrapeSeconds;
  return {
    moment: rounds(8),
    minutes: minutes(Math.max(5, errors.windowMinutes)) + rounds(6),
    quarter: minutes(Math.max(15, restarts.minutes, n8n.minutes)) + rounds(6),
  };
}

/** One for each cause and span, from the cause's first evaluation until the span after its last one. */
export function aftermathRules(facts: MonitoringFacts): Rule[] {
  return (Object.entries(spans(facts)) as [Span, number][]).map(([span, seconds]) => {
    const causes = `ALERTS{alertstate="firing",alertname=~"${causesWith(span, facts).join("|")}"}`;
    return {
      name: AFTERMATH,
      severity: "info",
      expr: `max${by(facts, "cause", "service", "job", "neighbour")}(label_copy(max_over_time(${causes}[${seconds}s]), "alertname", "cause"))`,
      labels: { span, id: `${AFTERMATH}-${span}-${label("cause")}` },
      title: `Suites de ${label("cause")}`,
      where: label("cause"),
      value: "en cours, ou tout juste terminée",
      threshold: `${seconds} s`,
      meaning: "Ce qui n'en est que la suite n'est pas dit une deuxième fois, même après la réparation.",
      action: "Rien : cette alerte n'est envoyée à personne.",
    };
  });
}

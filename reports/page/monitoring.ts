/** The page's section of what was measured in the last 30 days: availability, times, errors and alerts. */
import type { Release } from "../../common/release.ts";
import { AVAILABILITY_OBJECTIVES } from "../availability.ts";
import { recordsOf, type EnvironmentFacts, type Missing, type Monitored } from "../facts.ts";
import { formatDay, formatSeconds, formatShortMoment, plural } from "../labels-fr.ts";
import { formatMetric } from "../metrics-fr.ts";
import type { TrackingFacts } from "../tracking/tracking.ts";
import { measuredErrorChart, measuredLatencyChart } from "./monitoring-charts.ts";
import { badge, figure, html, table, type Html, type Tone } from "./parts.ts";

const OBJECTIVES = Object.values(AVAILABILITY_OBJECTIVES);
const MONTH_SECONDS = 30 * 86_400;

/** Most alerts of an environment; the rest is counted. */
const SHOWN = 30;

const SEVERITIES = ["P1", "P2", "P3"];

const QUIET = { planned: "travaux prévus", explained: "expliquée par une autre" } as const;

/** None where nobody asked. */
export function monitoringSection({ environments, now }: Pick<TrackingFacts, "environments" | "now">) {
  const known = environments.flatMap((facts) =>
    facts.state === "present" && facts.monitoring !== undefined
      ? [{ facts, monitoring: facts.monitoring }]
      : [],
  );
  if (known.length === 0) return [];
  const content = html`${known.map(
    ({ facts, monitoring }) =>
      html`<div class="block">
        <h3>${facts.name}</h3>
        ${contentOf({ facts, monitoring, now })}
      </div> `,
  )}`;
  return [{ id: "surveillance", name: "Surveillance", content }];
}

interface Known {
  readonly now: Date;
  readonly facts: EnvironmentFacts;
  readonly monitoring: Monitored | "off" | Missing;
}

function contentOf({ facts, monitoring, now }: Known): Html {
  if (monitoring === "off")
    return html`<p>
      Non mesuré : la surveillance est désactivée (<code>technicia:monitoring.enabled</code>).
    </p>`;
  if ("why" in monitoring)
    return html`<p>
      Non mesuré : la surveillance n'a pas pu être lue. <span lang="en">${monitoring.why}</span>
    </p>`;
  const { stack, name } = facts;
  const releases: readonly Release[] = recordsOf(facts)?.releases ?? [];
  const charts = [
    figure(`temps-${stack}`, measuredLatencyChart(monitoring, releases)),
    figure(`echecs-${stack}`, measuredErrorChart(monitoring, releases)),
  ];
  return html`${availabilityOf({ stack, name, monitoring, now })} ${charts}
  ${alertsOf({ stack, name, monitoring, now })}`;
}

interface Measured {
  readonly stack: string;
  readonly name: string;
  readonly monitoring: Monitored;
  readonly now: Date;
}

function availabilityOf({ stack, name, monitoring: { availability }, now }: Measured): Html {
  if (availability.length === 0)
    return html`<p>
      Disponibilité non mesurée : aucun environnement voisin ne surveille celui-ci (<code
        >technicia:monitoring.neighbours</code
      >
      est vide).
    </p>`;
  return table({
    id: `disponibilite-${stack}`,
    caption: `Disponibilité de ${name} sur 30 jours, mesurée de l'extérieur ; une mesure qui manque compte comme une panne`,
    kind: "checks",
    columns: ["Mesurée par", "Disponibilité", "Indisponible", ...OBJECTIVES.map(objectiveOf), "Depuis"],
    figures: ["Disponibilité", "Indisponible"],
    rows: availability.map(({ by, percent, since, why }) => {
      if (percent === undefined) {
        const reason = why === undefined ? "aucune mesure" : html`<span lang="en">${why}</span>`;
        return [by, "non mesurée", "-", ...OBJECTIVES.map(unmeasured), reason];
      }
      return [
        by,
        formatMetric(percent, "%"),
        formatSeconds(((100 - percent) / 100) * measuredSeconds({ since, now })),
        ...OBJECTIVES.map((objective) =>
          percent >= objective ? badge("done", "Atteint") : badge("stuck", "Manqué"),
        ),
        since === undefined ? "-" : formatDay(since),
      ];
    }),
  });
}

const objectiveOf = (objective: number) => `Objectif ${formatMetric(objective, "%")}`;

const unmeasured = () => badge("unknown", "Non mesuré");

// Nobody measured before the first time.
function measuredSeconds({ since, now }: { readonly since: Date | undefined; readonly now: Date }): number {
  const seconds = since === undefined ? Infinity : (now.getTime() - since.getTime()) / 1000;
  return Math.min(MONTH_SECONDS, Math.max(seconds, 0));
}

function alertsOf({ stack, name, monitoring: { alerts } }: Measured): Html {
  if (alerts.length === 0)
    return html`<p>Aucune alerte sur 30 jours, dans la mesure où les règles ont été évaluées.</p>`;
  const newest = alerts.toReversed().slice(0, SHOWN);
  const left = alerts.length - newest.length;
  return html`<p>${SEVERITIES.map((severity) => sumOf(severity, alerts)).join(" ; ")}.</p>
    ${table({
      id: `alertes-${stack}`,
      caption: `Alertes de ${name} sur 30 jours, la plus récente d'abord`,
      kind: "history",
      columns: ["Début", "Niveau", "Alerte", "Durée", "État"],
      figures: ["Durée"],
      rows: newest.map((alert) => [
        html`<time class="nowrap" datetime="${alert.from.toISOString()}"
          >${formatShortMoment(alert.from)}</time
        >`,
        alert.severity,
        alert.id,
        formatSeconds(secondsOf(alert)),
        stateOf(alert),
      ]),
    })}
    ${left === 0 ? undefined : html`<p>${plural(left, "alerte plus ancienne", "alertes plus anciennes")} : <code>npm run alerts -- ${stack} history --since 30d</code></p>`}`;
}

type Alert = Monitored["alerts"][number];

function secondsOf({ from, until }: Alert): number {
  return (until.getTime() - from.getTime()) / 1000;
}

function sumOf(severity: string, alerts: readonly Alert[]): string {
  const own = alerts.filter((alert) => alert.severity === severity);
  const seconds = own.reduce((sum, alert) => sum + secondsOf(alert), 0);
  const total = own.length === 0 ? "" : `, ${formatSeconds(seconds)} en tout`;
  return `${severity} : ${plural(own.length, "alerte")}${total}`;
}

function stateOf({ isActive, quiet }: Alert): Html {
  const [tone, word]: readonly [Tone, string] = isActive ? ["stuck", "Active"] : ["done", "Terminée"];
  return html`${badge(tone, word)}${quiet === undefined ? undefined : html`<span class="when">${QUIET[quiet]}</span>`}`;
}

/** One page that shows all environments at a glance; it loads nothing from elsewhere. */
import type { Check } from "../../common/check.ts";
import { checksOfCurrent, currentRelease, type AuditEvent, type Release } from "../../common/release.ts";
import type { StepStatus } from "../../stacks/deployment-status.ts";
import { gapsOf, recordsOf, type EnvironmentFacts, type Gap, type Records } from "../facts.ts";
import { formatDay, formatMoment, formatSeconds, formatShortMoment, plural } from "../labels-fr.ts";
import { describePhases, describeRelease, type TrackedStep } from "../tracking/steps.ts";
import { environmentStatus, type TrackingFacts } from "../tracking/tracking.ts";
import { costSection } from "./costs.ts";
import { driftChart, durationChart, latencyChart, totalSeconds } from "./charts.ts";
import { monitoringSection } from "./monitoring.ts";
import { badge, breakable, figure, html, Html, region, STYLE, table, type Tone } from "./parts.ts";

/** Most rows of a table; the rest is counted. */
const SHOWN = 30;

const TITLE = "TechnicIA : état des déploiements";
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Crect width='16' height='16' rx='3' fill='%231f63b5'/%3E%3Cpath d='M4 8.5l3 3L12 5' fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E";
const STEP_TONES: Readonly<Record<StepStatus, Tone>> = {
  Complété: "done",
  "En cours": "doing",
  Bloqué: "stuck",
  "Non commencé": "todo",
};

const CHECKS: Readonly<Record<Check["outcome"], readonly [Tone, string]>> = {
  ok: ["done", "Réussi"],
  failed: ["stuck", "En échec"],
  "not-checked": ["unknown", "Non vérifié"],
};

const ACTIONS: Partial<Record<AuditEvent["action"], string>> = {
  drift: "Recherche",
  repair: "Réparation",
};

export function renderPage(facts: TrackingFacts): string {
  const { environments, now } = facts;
  const gaps = gapsOf(environments);
  const sections = sectionsOf(facts);
  const page = html`<!doctype html>
    <html lang="fr">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
        />
        <meta name="referrer" content="no-referrer" />
        <title>${TITLE}</title>
        <link rel="icon" href="${ICON}" />
        <style>
          ${rawStyle}
        </style>
      </head>
      <body>
        <a class="skip" href="#contenu">Aller au contenu</a>
        <header class="page">
          <h1>${TITLE}</h1>
          <p class="lead">
            ${summarizeEnvironments(environments)} Relevé le
            <time datetime="${now.toISOString()}">${formatMoment(now)}</time>.
          </p>
          <nav aria-label="Sections de la page">
            <ul>
              ${sections.map(({ id, name }) => html`<li><a href="#${id}">${name}</a></li> `)}
            </ul>
          </nav>
          ${gaps.length === 0 ? undefined : gapsNote(gaps)}
        </header>
        <main class="page" id="contenu" tabindex="-1">${sections.map(renderSection)}</main>
        <footer class="page">
          <p>
            Page produite par <code>npm run report</code> à partir de l'état Pulumi, des mises en production
            et de l'historique gardés sur chaque serveur, et de ce que sa surveillance a mesuré. Ce qui n'a
            pas été vu n'est pas affirmé.
          </p>
        </footer>
      </body>
    </html> `;
  return page.text;
}

const rawStyle = new Html(STYLE);

interface PageSection {
  /** Anchor. */
  readonly id: string;
  readonly name: string;
  readonly content: Html;
}

function sectionsOf(facts: TrackingFacts): readonly PageSection[] {
  const { environments } = facts;
  return [
    {
      id: "environnements",
      name: "Environnements",
      content: html`<div class="cards">${environments.map(environmentCard)}</div>`,
    },
    { id: "etapes", name: "Étapes", content: stepsTable(environments) },
    {
      id: "mises-en-production",
      name: "Mises en production",
      content: perEnvironment(environments, releasesOf),
    },
    { id: "verifications", name: "Vérifications", content: perEnvironment(environments, verificationsOf) },
    ...monitoringSection(facts),
    { id: "derive", name: "Dérive", content: perEnvironment(environments, driftOf) },
    { id: "problemes", name: "Problèmes", content: incidentsTable(facts) },
    ...costSection(environments),
  ];
}

function renderSection({ id, name, content }: PageSection): Html {
  return html`<section id="${id}" aria-labelledby="${id}-titre">
    <h2 id="${id}-titre">${name}</h2>
    ${content}
  </section>`;
}

function summarizeEnvironments(environments: readonly EnvironmentFacts[]): string {
  return `${environments.map((facts) => `${facts.name} : ${environmentStatus(facts).toLowerCase()}`).join(" ; ")}.`;
}

const GAPS: Readonly<Record<Gap["what"], string>> = {
  state: "l'état n'a pas pu être lu",
  records: "les mises en production et l'historique n'ont pas pu être lus",
  copy: "le serveur ne répond pas ; mises en production et historique viennent du dernier jeu de sauvegardes",
  record: "un enregistrement est illisible",
  monitoring: "la surveillance n'a pas pu être lue",
};

function gapsNote(gaps: readonly Gap[]): Html {
  return html`<aside class="note" aria-label="Lectures impossibles">
    <p>Tout n'a pas pu être lu</p>
    <ul>
      ${gaps.map(({ name, what, why }) => html`<li>${name} : ${GAPS[what]}. <span lang="en">${why}</span></li>`)}
    </ul>
  </aside>`;
}

const UNDEPLOYED = [
  ["Adresse", "N/A"],
  ["Serveur", "N/A"],
] as const;

function environmentCard(facts: EnvironmentFacts): Html {
  const outputs = facts.state === "present" ? facts.outputs : undefined;
  const records = recordsOf(facts);
  const serving = currentRelease(records?.releases ?? []);
  const verified = lastVerified(records);
  const search = records?.history.findLast(
    ({ action, findings }) => action === "drift" && findings !== undefined,
  );
  const tone =
    facts.state === "unreadable" ? "unknown" : facts.state === "absent" ? "todo" : outputs ? "done" : "doing";
  const lines: readonly (readonly [string, string | Html | undefined])[] = [
    [
      "Adresse",
      outputs &&
        html`<a href="${outputs.url}" rel="noreferrer">${breakable(outputs.url.replace("https://", ""))}</a>`,
    ],
    ["Serveur", outputs && breakable(outputs.deploymentStatus.server.serviceName)],
    ["Version", serving && describeRelease(serving)],
    ["Depuis le", serving?.finishedAt && formatDay(new Date(serving.finishedAt))],
    ["Vérification", verified && countChecks(verified)],
    ["Dérive", search && `${plural(search.findings ?? 0, "écart")} le ${formatDay(new Date(search.at))}`],
  ];
  const known = lines.filter(([, value]) => value !== undefined);
  return html`<article class="card" aria-labelledby="env-${facts.stack}">
    <h3 id="env-${facts.stack}">${facts.name} ${badge(tone, environmentStatus(facts))}</h3>
    <dl>
      ${(known.length === 0 ? UNDEPLOYED : known).map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
  </article> `;
}

function stepsTable(environments: readonly EnvironmentFacts[]): Html {
  const phases = environments.map(describePhases);
  const cell = ({ status, to, from }: TrackedStep) => {
    const when = to ? formatDay(to) : from ? `depuis le ${formatDay(from)}` : undefined;
    return html`<td>
      ${badge(status === undefined ? "unknown" : STEP_TONES[status], status ?? "Inconnu")}${
        when === undefined ? undefined : html`<span class="when">${when}</span>`
      }
    </td>`;
  };
  const groups = (phases[0] ?? []).map(
    (phase, index) =>
      html`<tbody>
        <tr class="phase">
          <th scope="rowgroup">${phase.name}</th>
          ${phases.map((all) => all[index] && cell(all[index]))}
        </tr>
        ${phase.steps.map(
          (step, place) =>
            html`<tr class="step">
              <th scope="row">${step.name}</th>
              ${phases.map((all) => {
                const other = all[index]?.steps[place];
                return other && cell(other);
              })}
            </tr> `,
        )}
      </tbody> `,
  );
  return html`<div class="block">
    ${region(
      "etapes-tableau",
      "steps",
      html`<table>
        <caption id="etapes-tableau">
          <span>Étapes du déploiement, par environnement</span>
        </caption>
        <thead>
          <tr>
            <th scope="col">Étape</th>
            ${environments.map(({ name }) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        ${groups}
      </table>`,
    )}
  </div>`;
}

interface Recorded {
  readonly stack: string;
  readonly name: string;
  readonly records: Records;
}

/** A block for each environment whose records are known; one line for each of the others. */
function perEnvironment(
  environments: readonly EnvironmentFacts[],
  content: (recorded: Recorded) => Html,
): Html {
  return html`${environments.map((facts) => {
    const records = recordsOf(facts);
    return html`<div class="block">
      <h3>${facts.name}</h3>
      ${records ? content({ stack: facts.stack, name: facts.name, records }) : html`<p>${missingRecords(facts)}</p>`}
    </div> `;
  })}`;
}

function missingRecords(facts: EnvironmentFacts): string {
  if (facts.state === "unreadable") return "L'état n'a pas pu être lu.";
  if (facts.state === "absent") return "Non déployé.";
  return facts.outputs ? "Le serveur n'a pas pu être lu." : "Pas encore de serveur à lire.";
}

function releasesOf({ stack, name, records: { releases } }: Recorded): Html {
  if (releases.length === 0) return html`<p>Aucune mise en production enregistrée.</p>`;
  const newest = releases.toReversed().slice(0, SHOWN);
  const left = releases.length - newest.length;
  return html`${table({
    id: `releases-${stack}`,
    caption: `Mises en production de ${name}, la plus récente d'abord`,
    kind: "releases",
    columns: ["Nº", "Date", "Résultat", "Durée", "Vérification", "Par", "Motif"],
    figures: ["Durée"],
    rows: newest.map((release) => [
      `nº ${release.number}`,
      shortMoment(release.startedAt),
      outcomeBadge(release),
      Object.keys(release.seconds).length === 0 ? "-" : formatSeconds(totalSeconds(release)),
      release.verify.length === 0 ? "Sans vérification" : countChecks(release.verify),
      release.who,
      [release.emergency ? "Urgence" : "", release.reason, release.failure ?? ""]
        .filter((text) => text !== "")
        .join(" : ") || "-",
    ]),
  })}
  ${left === 0 ? undefined : html`<p>${plural(left, "mise en production plus ancienne", "mises en production plus anciennes")} : <code>npm run history -- ${stack}</code></p>`}
  ${figure(`durees-${stack}`, durationChart(releases))}`;
}

function shortMoment(at: string): Html {
  return html`<time class="nowrap" datetime="${at}">${formatShortMoment(new Date(at))}</time>`;
}

function shortDay(day: string): Html {
  return html`<time class="nowrap" datetime="${day}">${formatDay(new Date(day))}</time>`;
}

function outcomeBadge({ outcome, kind, restored }: Release): Html {
  if (outcome === "running") return badge("doing", "En cours ou interrompue");
  if (outcome === "rolled-back") return badge("stuck", `Annulée, retour au nº ${restored ?? "?"}`);
  if (outcome === "failed") return badge("stuck", "En échec");
  return badge("done", kind === "rollback" ? `Retour au nº ${restored ?? "?"}` : "Réussie");
}

/** The newest checks of what runs. */
function lastVerified(records: Records | undefined): readonly Check[] | undefined {
  return records?.releases.map(checksOfCurrent).findLast((checks) => checks.length > 0);
}

function countChecks(checks: readonly Check[]): string {
  const count = (outcome: Check["outcome"]) => checks.filter((check) => check.outcome === outcome).length;
  const [failed, open] = [count("failed"), count("not-checked")];
  return [
    `${plural(count("ok"), "réussi")} sur ${checks.length}`,
    ...(failed === 0 ? [] : [`${failed} en échec`]),
    ...(open === 0 ? [] : [plural(open, "non vérifié")]),
  ].join(", ");
}

function verificationsOf({ stack, name, records: { releases } }: Recorded): Html {
  const last = releases.findLast(({ verify }) => verify.length > 0);
  if (!last) return html`<p>Aucune vérification enregistrée.</p>`;
  const order: readonly Check["outcome"][] = ["failed", "not-checked", "ok"];
  const checks = last.verify.toSorted(
    (one, other) => order.indexOf(one.outcome) - order.indexOf(other.outcome),
  );
  return html`<p>
      Mise en production nº ${last.number}, ${formatMoment(new Date(last.finishedAt ?? last.startedAt))} :
      ${countChecks(checks)}.
    </p>
    ${figure(`latences-${stack}`, latencyChart(releases))}
    <details>
      <summary>Contrôles de la mise en production nº ${last.number} de ${name}</summary>
      ${table({
        id: `controles-${stack}`,
        caption: `Contrôles de la mise en production nº ${last.number} de ${name}`,
        kind: "checks",
        columns: ["Résultat", "Contrôle", "Constaté"],
        rows: checks.map(({ outcome, title, detail }) => [badge(...CHECKS[outcome]), title, detail]),
      })}
    </details>`;
}

function driftOf({ stack, name, records: { history } }: Recorded): Html {
  const events = history.filter(({ action }) => ACTIONS[action] !== undefined);
  if (events.length === 0) return html`<p>Aucune recherche de dérive enregistrée.</p>`;
  const newest = events.toReversed().slice(0, SHOWN);
  const left = events.length - newest.length;
  return html`${figure(`ecarts-${stack}`, driftChart(history))}
  ${table({
    id: `historique-${stack}`,
    caption: `Dérives et réparations de ${name}, la plus récente d'abord`,
    kind: "history",
    columns: ["Date", "Action", "Résultat", "Détail", "Par"],
    rows: newest.map(({ at, action, findings, detail, reason, who }) => [
      shortMoment(at),
      ACTIONS[action] ?? action,
      findings === undefined
        ? "-"
        : findings === 0
          ? badge("done", "Aucun écart")
          : badge("stuck", plural(findings, "écart")),
      reason === "" ? detail : `${detail} (${reason})`,
      who,
    ]),
  })}
  ${left === 0 ? undefined : html`<p>${plural(left, "événement plus ancien", "événements plus anciens")} : <code>npm run history -- ${stack}</code></p>`}`;
}

function incidentsTable({ incidents }: TrackingFacts): Html {
  if (incidents.length === 0) {
    return html`<div class="block">
      <p>Aucun problème identifié dans <code>docs/deployment-issues.md</code>.</p>
    </div>`;
  }
  const tones = { Ouvert: "stuck", Contourné: "doing", Résolu: "done" } as const;
  return html`<div class="block">
    ${table({
      id: "problemes-tableau",
      caption: "Problèmes identifiés, le plus récent d'abord",
      kind: "releases",
      columns: ["ID", "Statut", "Environnement", "Titre", "Priorité", "Catégorie", "Identifié", "Résolu"],
      rows: incidents
        .toReversed()
        .map((incident) => [
          incident.id,
          badge(tones[incident.status], incident.status),
          incident.environment,
          incident.title,
          incident.priority,
          incident.category,
          shortDay(incident.identified),
          incident.resolved === undefined ? "-" : shortDay(incident.resolved),
        ]),
    })}
  </div>`;
}

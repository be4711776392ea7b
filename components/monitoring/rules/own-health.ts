/** Rules by which the monitoring watches itself, the ladder of the escalation, and the sign of life. */
import { restartsBy, SERVER_LABEL } from "../../../common/monitoring.ts";
import { ESCALATION_LABELS } from "../../../common/planned-alerts.ts";
import { ladderOf } from "../audiences.ts";
import { ANNOUNCEMENTS, DEADMAN, type MonitoringFacts } from "../facts.ts";
import {
  by,
  label,
  lastingMinutes,
  minutes,
  MONITORING,
  ofServer,
  onEachServer,
  type Rule,
  value,
} from "./rule.ts";

export function ownHealthRules(facts: MonitoringFacts): Rule[] {
  return [
    ...programRules(facts),
    ...collectorRules(facts),
    ...evaluationRules(facts),
    ...messageRules(facts),
    ...storeRules(facts),
    accessLogRule(facts),
  ];
}

const PROGRAMS = ["metrics", "logs", "metric-rules", "log-rules", "alerts"];
const TARGETS = ["n8n", "qdrant", "probes"];
/** Answers of the blackbox exporter: they vanish with the list of what it is to ask. */
const PROBES = ["inside", "public"];
const PROBES_OF_SEVERAL = ["server"];

function programRules({ stack, thresholds, servers }: MonitoringFacts): Rule[] {
  const probes = [...PROBES, ...(servers.length > 0 ? PROBES_OF_SEVERAL : [])];
  const forSeconds = minutes(thresholds.ownHealth.downMinutes);
  const threshold = `${thresholds.ownHealth.downMinutes} min`;
  const { count, minutes: window } = thresholds.restarts;
  const where = `programme ${label("job")}`;
  return [
    {
      name: "MonitoringDown",
      severity: "P1",
      expr: `min by (job) (up{job=~"${PROGRAMS.join("|")}"}) == 0`,
      forSeconds,
      subject: "job",
      title: `La surveillance est aveugle : ${label("job")} ne répond plus`,
      where,
      value: "ne répond plus",
      threshold,
      meaning: "Des pannes peuvent passer inaperçues tant que ce programme manque.",
      action: `npm run status -- ${stack}, puis npm run logs -- ${stack} ${label("job")}.`,
    },
    {
      name: "TargetDown",
      severity: "P2",
      labels: { service: label("job") },
      expr: `min by (job) (up{job=~"${TARGETS.join("|")}"}) == 0`,
      forSeconds,
      subject: "job",
      title: `${label("job")} ne donne plus ses mesures`,
      where,
      value: "aucune mesure",
      threshold,
      meaning: "Les alertes qui en dépendent ne se déclenchent plus.",
      action: `npm run status -- ${stack} ; npm run logs -- ${stack} ${label("job")}.`,
    },
    {
      name: "TargetMissing",
      severity: "P2",
      expr: [...PROGRAMS, ...TARGETS, ...probes].map((job) => `absent(up{job="${job}"})`).join(" or "),
      forSeconds: minutes(thresholds.ownHealth.downMinutes + 1),
      subject: "job",
      title: `${label("job")} n'est plus dans la liste de ce qui est surveillé`,
      where,
      value: "absent",
      threshold: `${thresholds.ownHealth.downMinutes + 1} min`,
      meaning: "Sa panne ne se verrait pas.",
      action: `npm run drift -- ${stack} ; le fichier est /opt/technicia/monitoring/metrics/scrape.yml.`,
    },
    {
      name: "MonitoringRestarts",
      severity: "P2",
      expr: `${restartsBy(MONITORING, window)} > ${count}`,
      subject: "service",
      title: `${label("service")} redémarre en boucle`,
      where: `programme ${label("service")}`,
      value: `${value()} redémarrages en ${window} min`,
      threshold: `${count} redémarrages`,
      meaning: "La surveillance a des trous.",
      action: `npm run logs -- ${stack} ${label("service")} ; souvent une limite de mémoire trop basse.`,
    },
  ];
}

/** Of each server, because nothing else says which one is missing. */
function silence({ servers }: MonitoringFacts, minutes: number): string {
  const silent = (selector: string) =>
    `absent_over_time(technicia_collector_seconds${selector}[${minutes}m])`;
  if (servers.length === 0) return silent("");
  return servers.map(({ server }) => silent(`{${SERVER_LABEL}="${server}"}`)).join(" or ");
}

function collectorRules(facts: MonitoringFacts): Rule[] {
  const { stack, thresholds } = facts;
  const { silentMinutes, seconds } = thresholds.collector;
  const rules: Rule[] = [
    {
      name: "CollectorSilent",
      severity: "P2",
      expr: silence(facts, silentMinutes),
      // It is the last to start in a first deployment.
      forSeconds: minutes(1),
      title: "Le serveur ne donne plus ses mesures",
      where: "serveur, technicia-collect.service",
      value: `silence depuis ${silentMinutes} min`,
      threshold: `${silentMinutes} min`,
      meaning: "Mémoire, disque, conteneurs et sauvegardes ne sont plus surveillés.",
      action: `npm run logs -- ${stack} --grep technicia-collect${ofServer(facts)} ; npm run drift -- ${stack} --repair le relance.`,
    },
    {
      name: "CollectorSourceDown",
      severity: "P2",
      expr: `max${by(facts, "source")}(technicia_collector_up) == 0`,
      forSeconds: minutes(silentMinutes),
      subject: "source",
      title: `Le collecteur ne peut plus lire : ${label("source")}`,
      where: `serveur, source ${label("source")}`,
      value: "illisible",
      threshold: `${silentMinutes} min`,
      meaning: "Une partie des mesures du serveur manque.",
      action: `npm run logs -- ${stack} --grep technicia-collect${ofServer(facts)}.`,
    },
    {
      name: "CollectorSlow",
      severity: "P3",
      expr: `max${by(facts)}(technicia_collector_seconds) > ${seconds}`,
      forSeconds: minutes(5),
      title: "Le collecteur est lent",
      where: "serveur, technicia-collect.service",
      value: `${value(1)} s pour un tour`,
      threshold: lastingMinutes(`${seconds} s`, 5),
      meaning: "Les alertes arrivent plus tard.",
      action: `npm run metrics -- ${stack} : processeurs et charge.`,
    },
  ];
  return rules.map((rule) => onEachServer(facts, rule));
}

const added = (selector: string, seconds = 300) => `increase(${selector}[${seconds}s])`;

/**
 * Of what is tried again and again, in seconds: over how long failures are counted, and for how long there must be some. The second is longer,
 * so that a failure that is over is told of by nobody.
 */
const EVALUATIONS = { window: 60, lasting: 120 } as const;
/** A group's message is tried again once a minute, and fails as often. One that hangs blocks its group, which then begins no other. */
const MESSAGES = { window: 90, lasting: 120, hanging: 900 } as const;

function evaluationRules({ stack, thresholds }: MonitoringFacts): Rule[] {
  const { failures } = thresholds.ownHealth;
  const where = `programme ${label("job")}`;
  return [
    {
      name: "RuleErrors",
      severity: "P2",
      expr: `sum by (job) (${added('{__name__=~"vmalert_(alerting|recording)_rules_errors_total"}', EVALUATIONS.window)}) > ${failures}`,
      // Later than MonitoringDown of the store that they ask.
      forSeconds: Math.max(EVALUATIONS.lasting, minutes(thresholds.ownHealth.downMinutes + 1)),
      subject: "job",
      title: "Des règles d'alerte échouent",
      where,
      value: `${value()} erreurs en 1 min`,
      threshold: lastingMinutes(`${failures} erreurs`, Math.max(2, thresholds.ownHealth.downMinutes + 1)),
      meaning: "Une règle qui échoue ne prévient de rien.",
      action: `npm run alerts -- ${stack} rules nomme la règle et son erreur.`,
    },
    {
      name: "RulesLate",
      severity: "P3",
      expr: `sum by (job) (${added("vmalert_iteration_missed_total")}) > ${failures}`,
      forSeconds: minutes(10),
      subject: "job",
      title: "Des règles d'alerte sont évaluées en retard",
      where,
      value: `${value()} tours manqués en 5 min`,
      threshold: lastingMinutes(`${failures} tours`, 10),
      meaning: "Les alertes arrivent plus tard.",
      action: `npm run metrics -- ${stack} : charge du serveur.`,
    },
    {
      name: "ConfigurationRefused",
      severity: "P2",
      expr: 'min by (job) ({__name__=~"(vmalert|alertmanager)_config_last_reload_successful"}) == 0',
      forSeconds: minutes(1),
      subject: "job",
      title: `${label("job")} refuse sa configuration`,
      where,
      value: "configuration refusée",
      threshold: "1 min",
      meaning: "Le programme continue avec l'ancienne, ou ne redémarrera pas.",
      action: `npm run logs -- ${stack} ${label("job")} --errors ; npm run drift -- ${stack} --repair remet la nôtre.`,
    },
  ];
}

function messageRules({ stack, thresholds }: MonitoringFacts): Rule[] {
  const { failures } = thresholds.ownHealth;
  // A sign of life that is lost concerns nobody here: whoever waits for it says so.
  const ofPeople = `receiver_name!="${DEADMAN}"`;
  const failing = `sum by (integration) (${added(`alertmanager_notifications_failed_total{${ofPeople}}`, MESSAGES.window)})`;
  // Alertmanager waits without end for a mail server that has taken the connection and says nothing: no attempt ends, and none is counted as failed.
  // Of an announcement it also counts the end, as begun, which it tells nobody.
  const ofAlerts = `receiver_name!~"${DEADMAN}|${ANNOUNCEMENTS}.*"`;
  const begun = added(`alertmanager_notifications_total{${ofAlerts}}`, MESSAGES.hanging);
  const ended = added(`alertmanager_notification_requests_total{${ofAlerts}}`, MESSAGES.hanging);
  const hanging = `sum by (integration) (${begun} - ${ended})`;
  return [
    {
      name: "AlertsNotSent",
      severity: "P1",
      expr: `sum by (job) (${added("vmalert_alerts_send_errors_total", EVALUATIONS.window)}) > ${failures}`,
      forSeconds: EVALUATIONS.lasting,
      subject: "job",
      title: "Des alertes n'arrivent pas à Alertmanager",
      where: `programme ${label("job")}`,
      value: `${value()} en 1 min`,
      threshold: lastingMinutes(`${failures} échecs`, 2),
      meaning: "Une panne ne serait dite à personne.",
      action: `npm run logs -- ${stack} alerts ; npm run alerts -- ${stack} test.`,
    },
    {
      name: "NotificationsFailing",
      severity: "P1",
      expr: `${failing} > ${failures} or ${hanging} > ${failures}`,
      forSeconds: MESSAGES.lasting,
      subject: "integration",
      title: `Des messages ne partent pas : ${label("integration")}`,
      where: `envoi par ${label("integration")}`,
      value: `${value()} échecs en 1 min 30, ou envois sans réponse`,
      threshold: lastingMinutes(`${failures} échecs`, 2),
      meaning: "Des personnes ne sont pas prévenues.",
      action: `npm run logs -- ${stack} alerts --errors dit pourquoi ; npm run alerts -- ${stack} test essaie chaque voie.`,
    },
  ];
}

/**
 * Full of its share, the metrics' store refuses its own samples as well and goes on answering questions: it says so by knowing nothing newer than
 * this, neither of what it asks nor of what the collector sends.
 */
const refusesSamples = ({ scrapeSeconds }: MonitoringFacts) =>
  `absent_over_time({__name__=~"up|technicia_collector_seconds"}[${4 * scrapeSeconds}s])`;

function storeRules(facts: MonitoringFacts): Rule[] {
  const { stack, thresholds, minFreeGib, scrapeSeconds } = facts;
  return [
    {
      name: "StoreReadOnly",
      severity: "P1",
      expr: `max by (job) ({__name__=~"v[ml]_storage_is_read_only"}) > 0 or label_set(${refusesSamples(facts)}, "job", "metrics")`,
      // After its start it has no sample yet.
      forSeconds: 3 * scrapeSeconds,
      // Until it has a sample of everything again; what it could not keep meanwhile has no aftermath.
      holdSeconds: 6 * scrapeSeconds,
      subject: "job",
      title: `${label("job")} n'écrit plus`,
      where: `programme ${label("job")}`,
      value: "lecture seule",
      threshold: `${minFreeGib} Gio libres`,
      meaning: "Il ne reste plus assez de place : mesures ou journaux sont perdus, et les alertes aveugles.",
      action: `Libérer de la place sur le serveur, comme docs/alerts.md le dit pour DiskCritical ; npm run metrics -- ${stack} montre le disque.`,
    },
    {
      name: "LinesDropped",
      severity: "P3",
      expr: `sum(${added('{__name__=~"vl_rows_dropped_total|vl_too_long_lines_skipped_total"}')}) > ${thresholds.ownHealth.failures}`,
      // Later than StoreReadOnly.
      forSeconds: 4 * scrapeSeconds,
      title: "Des lignes de journal sont perdues",
      where: "programme logs",
      value: `${value()} en 5 min`,
      threshold: `${thresholds.ownHealth.failures} lignes`,
      meaning: "Les journaux sont incomplets.",
      action: `npm run logs -- ${stack} logs --errors dit pourquoi : trop longues, trop vieilles, ou sans place.`,
    },
  ];
}

function accessLogRule({ stack }: MonitoringFacts): Rule {
  return {
    name: "AccessLogSilent",
    severity: "P2",
    // The public probe alone writes several lines a minute.
    expr: 'max(gateway_lines) == 0 and on () min(min_over_time(probe_success{job="public"}[1m])) == 1',
    forSeconds: 30,
    labels: { service: "gateway" },
    title: "Les accès ne sont plus journalisés",
    where: "passerelle",
    value: "aucune ligne en 1 min alors que le site répond",
    threshold: "1 ligne",
    meaning: "Taux d'erreur et temps de réponse ne sont plus surveillés.",
    action: `npm run drift -- ${stack} --repair ; la prise est /opt/technicia/monitoring/socket/access.sock.`,
  };
}

/**
 * What a level of the escalation is told when nobody has taken a P1 in charge.
 *
 * A resolved alert leaves a stale marker, which `default_rollup` respects; its window bridges a restart of vmalert, whose state is restored.
 * An acknowledgement silences the alert's `id`, which the ladder has as well.
 */
export function escalationRules(facts: MonitoringFacts): Rule[] {
  const { stack, servers } = facts;
  const ofServers = servers.length > 0 ? [SERVER_LABEL] : [];
  const unresolved =
    'default_rollup(ALERTS{alertstate="firing",severity="P1",alertname!="Escalation",id!=""}[2m])';
  // A store that takes no samples does not know of this alert either.
  const untold = `label_set(${refusesSamples(facts)}, "about", "StoreReadOnly", "id", "StoreReadOnly-metrics")`;
  return ladderOf(facts).map(({ level, afterMinutes }) => ({
    name: "Escalation",
    severity: "P1",
    expr: `max by (${[...ESCALATION_LABELS, ...ofServers].join(", ")}) (label_copy(${unresolved}, "alertname", "about")) or ${untold}`,
    forSeconds: minutes(afterMinutes),
    labels: { level, id: label("id") },
    title: `${level} : ${label("about")} attend depuis ${afterMinutes} minutes que quelqu'un s'en charge`,
    where: label("id"),
    value: `${afterMinutes} min sans prise en charge`,
    threshold: `${afterMinutes} min`,
    meaning: "Personne n'a dit qu'il s'occupe de cette alerte.",
    action: `S'en charger : npm run alerts -- ${stack} ack '${label("id")}' --comment "…".`,
  }));
}

/** Fires always; whoever no longer hears of it knows that this environment cannot warn any more. */
export function watchdogRule({ stack }: MonitoringFacts): Rule {
  return {
    name: "Watchdog",
    severity: "info",
    expr: "vector(1)",
    title: "Signe de vie",
    where: stack,
    value: "vivant",
    threshold: "aucun",
    meaning: "Règles, stockage et envoi fonctionnent.",
    action: "Rien : c'est son absence qui est une panne.",
  };
}

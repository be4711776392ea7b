/** Rules about what users reach: the site, its services, and the neighbours' view. */
import { ownServices, restartsBy } from "../../../common/monitoring.ts";
import type { MonitoringFacts } from "../facts.ts";
import { by, label, lastingMinutes, minutes, onEachServer, type Rule, value } from "./rule.ts";

const SERVICE = `service ${label("service")}`;

export function siteRules(facts: MonitoringFacts): Rule[] {
  return [
    ...healthRules(facts),
    ...serverRules(facts),
    ...containerRules(facts),
    ...neighbourRules(facts),
    trafficRule(facts),
  ];
}

function healthRules(facts: MonitoringFacts): Rule[] {
  const { consecutiveFailures, downMinutes } = facts.thresholds.health;
  // A window of samples would depend on whether the newest one can be seen yet; this counts evaluations, one for each sample.
  const forSeconds = consecutiveFailures * facts.scrapeSeconds;
  const failures = `plus de ${consecutiveFailures} contrôles de suite ont échoué`;
  const threshold = `${consecutiveFailures} échecs de suite`;
  return [
    {
      name: "SiteDown",
      severity: "P1",
      expr: 'max(probe_success{job="public"}) == 0',
      // The public address may be measured just before the service that fails: the alert that names the service must be here by then.
      forSeconds: forSeconds + facts.scrapeSeconds,
      labels: { service: "gateway" },
      title: "Le site ne répond plus",
      where: facts.publicUrl,
      value: failures,
      threshold,
      meaning: "Les techniciens ne peuvent plus se servir de TechnicIA.",
      action: `Voir ce qui est en panne : npm run status -- ${facts.stack}. Après une mise en production : npm run rollback -- ${facts.stack}.`,
    },
    {
      name: "ServiceDown",
      severity: "P1",
      expr: 'max by (service) (probe_success{job="inside"}) == 0',
      forSeconds,
      subject: "service",
      title: `${label("service")} ne répond plus`,
      where: SERVICE,
      value: failures,
      threshold,
      meaning: "Ce qui dépend de ce service est en panne ou le sera à la prochaine demande.",
      action: `Lire son journal : npm run logs -- ${facts.stack} ${label("service")} --errors.`,
    },
    {
      name: "HealthFailing",
      severity: "P1",
      expr: `max by (service) (label_set(probe_success{job="public"}, "service", "gateway"), probe_success{job="inside"}) == 0`,
      forSeconds: minutes(downMinutes),
      subject: "service",
      rollback: true,
      title: `${label("service")} est en panne depuis ${downMinutes} minutes`,
      where: SERVICE,
      value: `aucun contrôle réussi en ${downMinutes} min`,
      threshold: `${downMinutes} min`,
      meaning: "La panne n'est pas passagère : pendant l'observation, la mise en production est annulée.",
      action: `npm run rollback -- ${facts.stack} si une mise en production vient d'avoir lieu, sinon npm run logs -- ${facts.stack} ${label("service")}.`,
    },
  ];
}

/** Another of several servers, asked in the tunnel. Nobody here hears of the server of the monitoring: neighbours do. */
function serverRules(facts: MonitoringFacts): Rule[] {
  const { stack, servers, thresholds } = facts;
  if (servers.length === 0) return [];
  const { downMinutes } = thresholds.health;
  return [
    onEachServer(facts, {
      name: "ServerGone",
      severity: "P1",
      expr: `max${by(facts)}(probe_success{job="server"}) == 0`,
      forSeconds: minutes(downMinutes),
      title: "Le serveur ne répond plus",
      where: "serveur, vu par le tunnel",
      value: `aucun contrôle réussi en ${downMinutes} min`,
      threshold: `${downMinutes} min`,
      meaning:
        "Il est arrêté ou coupé du réseau. Ce qui n'a pas de données continue ailleurs ; une panne de plus peut tout arrêter.",
      action: `npm run servers -- ${stack}. S'il est vraiment perdu : npm run failover -- ${stack} --from ${label("server")}, puis docs/runbook.md, « Serveur perdu ».`,
    }),
  ];
}

function containerRules(facts: MonitoringFacts): Rule[] {
  const { stack, thresholds } = facts;
  const { restarts } = thresholds;
  const isSeveral = facts.servers.length > 0;
  const aliases = ownServices(facts.services);
  const own = `service=~"${aliases.join("|")}"`;
  // Each of them is declared to run: Docker's own wish is 0 where somebody has scaled it down.
  const desired = `max by (service) (technicia_service_desired{${own}})`;
  const running = `(technicia_service_running{${own}})`;
  // Each of several servers knows its own containers, and none of them those of a service that runs nowhere.
  const runningAnywhere = isSeveral
    ? `(sum by (service) ${running} or 0 * ${desired})`
    : `max by (service) ${running}`;
  const missing = `clamp_min(${desired}, 1) - ${runningAnywhere} > 0`;
  const absent = aliases.map((alias) => `absent(technicia_service_desired{service="${alias}"})`);
  const removed = `(${absent.join(" or ")}) and on () max(technicia_collector_up{source="${isSeveral ? "swarm" : "docker"}"}) == 1`;
  return [
    {
      name: "ServiceNotRunning",
      severity: "P1",
      expr: `${missing} or ${removed}`,
      forSeconds: minutes(thresholds.health.downMinutes),
      subject: "service",
      title: `${label("service")} ne tourne pas`,
      where: SERVICE,
      value: `${value()} conteneur manquant`,
      threshold: lastingMinutes("aucun manquant", thresholds.health.downMinutes),
      meaning: "Quelqu'un l'a arrêté ou supprimé, ou Docker n'arrive pas à le garder en marche.",
      action: `npm run status -- ${stack}, puis npm run logs -- ${stack} ${label("service")} --since 15m.`,
    },
    {
      name: "CrashLoop",
      severity: "P1",
      expr: `${restartsBy(aliases.join("|"), restarts.minutes)} > ${restarts.count}`,
      subject: "service",
      rollback: true,
      title: `${label("service")} redémarre en boucle`,
      where: SERVICE,
      value: `${value()} redémarrages en ${restarts.minutes} min`,
      threshold: `${restarts.count} redémarrages`,
      meaning: "Chaque redémarrage coupe les demandes en cours.",
      action: `Lire la fin de son journal : npm run logs -- ${stack} ${label("service")} --since 15m. Après une mise en production : npm run rollback -- ${stack}.`,
    },
    {
      name: "OutOfMemory",
      severity: "P1",
      expr: `max by (service) (increase(technicia_container_oom_kills_total{${own}}[10m])) > 0`,
      subject: "service",
      rollback: true,
      title: `${label("service")} a dépassé sa mémoire et a été arrêté`,
      where: SERVICE,
      value: `${value()} arrêt en 10 min`,
      threshold: "aucun arrêt admis",
      meaning: "Les demandes en cours sont perdues, et cela recommencera.",
      action: `Voir sa courbe : npm run metrics -- ${stack}. Relever services.<service>.memoryMib ou revenir en arrière.`,
    },
  ];
}

function neighbourRules({ neighbours, thresholds, stack }: MonitoringFacts): Rule[] {
  if (neighbours.length === 0) return [];
  return [
    {
      name: "NeighbourDown",
      severity: "P1",
      // The name `stack` is taken: it says on every alert who sends it.
      expr: `max by (neighbour) (label_copy(probe_success{job="neighbour"}, "stack", "neighbour")) == 0`,
      forSeconds: minutes(thresholds.health.downMinutes),
      subject: "neighbour",
      title: `${label("neighbour")} ne répond plus de l'extérieur`,
      where: `environnement ${label("neighbour")}, vu de ${stack}`,
      value: `aucun contrôle réussi en ${thresholds.health.downMinutes} min`,
      threshold: `${thresholds.health.downMinutes} min`,
      meaning: "Son serveur est peut-être perdu ; il ne peut alors pas prévenir lui-même.",
      action: `npm run status -- ${label("neighbour")}. Sans réponse, la console d'OVH, puis docs/runbook.md, « Serveur perdu ».`,
    },
  ];
}

function trafficRule({ thresholds, stack }: MonitoringFacts): Rule {
  const { factor, minimumRequests } = thresholds.traffic;
  const requests = 'gateway{group="all",stats_result="requests"}';
  // The same hour on each of the last seven days.
  const usual = [0, 1, 2, 3, 4, 5, 6]
    .map((day) => `avg_over_time(${requests}[1h] offset ${24 * day + 23.5}h)`)
    .join(", ");
  return {
    name: "UnusualTraffic",
    severity: "info",
    expr: `max(${requests}) > ${minimumRequests} and max(${requests}) > ${factor} * avg(${usual})`,
    forSeconds: minutes(5),
    title: "Trafic inhabituel",
    where: "passerelle",
    value: `${value()} demandes en 5 min, plus de ${factor} fois l'habitude de cette heure`,
    threshold: lastingMinutes(`${factor} fois l'habitude et ${minimumRequests} demandes`, 5),
    meaning: "Un pic d'usage, un programme qui insiste, ou quelqu'un qui explore le site.",
    action: `Voir qui demande quoi : npm run logs -- ${stack} gateway --since 15m.`,
  };
}

/** Rules about the lines of containers and of the server's units, as LogsQL. */
import { ownServices, SERVER_LABEL } from "../../../common/monitoring.ts";
import type { MonitoringFacts } from "../facts.ts";
import {
  by,
  label,
  lastingMinutes,
  minutes,
  ofServer,
  onEachServer,
  type Recording,
  type Rule,
  value,
} from "./rule.ts";

export function lineRules(facts: MonitoringFacts): Rule[] {
  return [
    ...errorLineRules(facts),
    floodRule(facts),
    ...silenceRules(facts),
    onEachServer(facts, loginRule(facts)),
    sourceRule(facts),
  ];
}

// An error as n8n (text and JSON), Python, PostgreSQL and Qdrant write it. stderr says nothing: Python writes everything there.
const ERROR_LINE =
  '\\b(?:ERROR|CRITICAL|FATAL|PANIC|panicked)\\b|(?i:"level":\\s*"(?:error|critical|fatal)")|^\\S*(?:Error|Exception):|\\| error \\|';

/** Of the services' lines, the errors. The web servers' are requests, which the access lines count. */
function errorLines(facts: MonitoringFacts): string {
  const services = ownServices(facts.services).filter((alias) => alias !== "gateway" && alias !== "frontend");
  return `CONTAINER_TAG:in(${services.map((alias) => JSON.stringify(alias)).join(",")}) _msg:~\`${ERROR_LINE}\``;
}

function errorLineRules(facts: MonitoringFacts): Rule[] {
  const { perMinute, perService } = facts.thresholds.criticalErrors;
  return [
    {
      name: "CriticalErrors",
      severity: "P1",
      expr: `_time:1m ${errorLines(facts)} | stats count() errors | filter errors:>${perMinute}`,
      rollback: true,
      title: `Plus de ${perMinute} erreurs par minute dans les journaux`,
      where: "services de TechnicIA",
      value: `${value()} en 1 min`,
      threshold: `${perMinute} lignes`,
      meaning: "Un service échoue sans cesse, même si ses contrôles de santé réussissent encore.",
      action: `npm run logs -- ${facts.stack} --errors --since 5m ; après une mise en production : npm run rollback -- ${facts.stack}.`,
    },
    {
      name: "ServiceErrors",
      severity: "P3",
      expr: `_time:15m ${errorLines(facts)} | stats by (CONTAINER_TAG) count() errors | rename CONTAINER_TAG as service | filter errors:>${perService}`,
      subject: "service",
      title: `${label("service")} écrit souvent des erreurs`,
      where: `service ${label("service")}`,
      value: `${value()} en 15 min`,
      threshold: `${perService} lignes`,
      meaning: "Quelque chose échoue régulièrement, peut-être sans que les utilisateurs le voient.",
      action: `npm run logs -- ${facts.stack} ${label("service")} --errors --since 15m.`,
    },
  ];
}

const ANY_LINE = "(CONTAINER_TAG:* or _SYSTEMD_UNIT:*)";

/** The field `service`: a container's alias, or a unit of the server. */
const WITH_SERVICE =
  '| format if (CONTAINER_TAG:*) "<CONTAINER_TAG>" as service | format if (CONTAINER_TAG:"") "<_SYSTEMD_UNIT>" as service';

function floodRule({ thresholds, stack }: MonitoringFacts): Rule {
  const { linesPerMinute } = thresholds.logs;
  return {
    name: "LogFlood",
    severity: "P3",
    expr: `_time:1m ${ANY_LINE} ${WITH_SERVICE} | stats by (service) count() lines | filter lines:>${linesPerMinute}`,
    forSeconds: minutes(2),
    subject: "service",
    title: `${label("service")} inonde les journaux`,
    where: `service ${label("service")}`,
    value: `${value()} lignes en 1 min`,
    threshold: lastingMinutes(`${linesPerMinute} lignes`, 2),
    meaning: "Les journaux plus anciens seront effacés avant leur âge, pour garder la place prévue.",
    action: `npm run logs -- ${stack} ${label("service")} --since 1m ; un niveau de journal trop bavard, ou une boucle.`,
  };
}

/** A count of nothing is a row of zero: silence is seen, and of several servers that of each. */
function silenceRules({ thresholds, stack, servers }: MonitoringFacts): Rule[] {
  const { silentMinutes } = thresholds.logs;
  const rule = (stream: string): Rule => ({
    name: "JournalSilent",
    severity: "P2",
    expr: `_time:${silentMinutes}m ${stream}${ANY_LINE} | stats count() lines | filter lines:=0`,
    forSeconds: minutes(5),
    title: "Les journaux n'arrivent plus",
    where: "serveur et conteneurs",
    value: `aucune ligne en ${silentMinutes} min`,
    threshold: lastingMinutes(`1 ligne en ${silentMinutes} min`, 5),
    meaning: "Les alertes sur les journaux sont aveugles, et une panne ne laisserait pas de trace.",
    action: `npm run drift -- ${stack} --repair ; l'envoi est systemd-journal-upload.service.`,
  });
  if (servers.length === 0) return [rule("")];
  return servers.map(({ server }) => ({
    ...rule(`{${SERVER_LABEL}="${server}"} `),
    labels: { [SERVER_LABEL]: server, id: `JournalSilent-${server}` },
    title: `Les journaux du serveur ${server} n'arrivent plus`,
    where: `serveur ${server} et ses conteneurs`,
  }));
}

const SSH = 'SYSLOG_IDENTIFIER:in("sshd","sshd-session")';
const REFUSED_LOGIN =
  "^(?:Failed \\S+ for |(?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user )";

function loginRule(facts: MonitoringFacts): Rule {
  const { thresholds, stack } = facts;
  return {
    name: "SshLoginsFailing",
    severity: "P3",
    expr: `_time:1h ${SSH} _msg:~\`${REFUSED_LOGIN}\` | stats${by(facts) || " "}count() failed | filter failed:>${thresholds.security.sshFailuresPerHour}`,
    title: "Des connexions ssh échouent",
    where: "serveur",
    value: `${value()} en 1 h`,
    threshold: `${thresholds.security.sshFailuresPerHour} connexions`,
    meaning: "Quelqu'un essaie d'entrer depuis un réseau autorisé, ou une clé n'est plus la bonne.",
    action: `npm run logs -- ${stack} --grep sshd --since 1h${ofServer(facts)} montre d'où ; npm run drift -- ${stack} vérifie les clés et le pare-feu.`,
  };
}

/**
 * Lines that workflows write, by `console.log` of an object in a Code node; n8n puts the names of workflow and node before it.
 *
 * - `{"event":"answer","sources":<how many documents it names>}` for each answer to a question
 * - `{"event":"document","passages":<how many>}` for each document that was indexed
 * - `{"event":"usage","model":"<its name>","input":<tokens>,"output":<tokens>}` for each answer of a language model
 */
const eventLine = (event: "answer" | "document" | "usage") =>
  `CONTAINER_TAG:in("n8n","n8n-runners","vector-store") _msg:~\`"event":\\s*"${event}"\``;
const ANSWER = `${eventLine("answer")} | extract_regexp \`"sources":\\s*(?P<sources>\\d+)\` from _msg`;
const USAGE = `${eventLine("usage")} | extract_regexp \`"model":\\s*"(?P<model>[\\w.-]+)",\\s*"input":\\s*(?P<input>\\d+),\\s*"output":\\s*(?P<output>\\d+)\` from _msg | filter model:*`;

function sourceRule({ thresholds, stack }: MonitoringFacts): Rule {
  const { unsourcedPercent, minimumAnswers } = thresholds.languageModel;
  return {
    name: "AnswersWithoutSource",
    severity: "P3",
    expr: `_time:1h ${ANSWER} | stats count() answers, count() if (sources:=0) unsourced | math unsourced / answers * 100 as percent | filter answers:>=${minimumAnswers} percent:>${unsourcedPercent} | fields percent`,
    title: `Plus de ${unsourcedPercent} % des réponses sans source`,
    where: "questions",
    value: `${value()} % en 1 h`,
    threshold: `${unsourcedPercent} %`,
    meaning: "La recherche ne trouve plus les documents : base vide, ou documents qui manquent.",
    action: `npm run logs -- ${stack} vector-store --errors ; compter les points : npm run status -- ${stack}.`,
  };
}

/**
 * `log_lines{service}` and `log_errors{service}` count the lines of the last minute; `logins{stats_result}` those of five minutes:
 * `ssh`, `ssh_failed`, `editor`, `editor_failed`. `answers{stats_result}` counts those of an hour, and those without a source; `documents`
 * those that were indexed in an hour. `model_tokens{model, stats_result}` counts what a language model was sent and has answered in five minutes.
 */
export function lineRecordings(facts: MonitoringFacts): Recording[] {
  return [
    { record: "log_lines", expr: `_time:1m ${ANY_LINE} ${WITH_SERVICE} | stats by (service) count() lines` },
    {
      record: "log_errors",
      expr: `_time:1m ${errorLines(facts)} | stats by (CONTAINER_TAG) count() errors | rename CONTAINER_TAG as service`,
    },
    {
      record: "logins",
      expr: `_time:5m ${SSH} | stats count() if (_msg:~"^Accepted ") ssh, count() if (_msg:~\`${REFUSED_LOGIN}\`) ssh_failed`,
    },
    {
      record: "logins",
      expr: '_time:5m {app_name="gateway"} | unpack_json from _msg fields (uri, status) | filter uri:="/rest/login" | stats count() if (status:=200) editor, count() if (status:>=400) editor_failed',
    },
    {
      record: "answers",
      expr: `_time:1h ${ANSWER} | stats count() answers, count() if (sources:=0) unsourced`,
    },
    { record: "documents", expr: `_time:1h ${eventLine("document")} | stats count() documents` },
    {
      record: "model_tokens",
      expr: `_time:5m ${USAGE} | stats by (model) sum(input) input, sum(output) output`,
    },
  ];
}

/** Rules about the gateway's access lines, as LogsQL: failed, slow and refused requests. */
import type { MonitoringFacts } from "../facts.ts";
import { lastingMinutes, minutes, type Recording, type Rule, type Severity, value } from "./rule.ts";

const GATEWAY = "passerelle";

export function accessRules(facts: MonitoringFacts): Rule[] {
  return [
    ...errorRules(facts),
    ...latencyRules(facts),
    ...slowRules(facts),
    ...languageModelRules(facts),
    ...uploadRules(facts),
    ...refusalRules(facts),
    ...neighbourRules(facts),
    unreadableRule(facts),
  ];
}

/** Requests of that time: all that could be read, without the neighbours' signs of life. */
const requests = (window: string) =>
  `_time:${window} {app_name="gateway"} | unpack_json from _msg fields (uri, host, status, seconds, upstream) | filter status:* !uri:~"^/deadman/"`;

const oneOf = (paths: readonly string[]) => `uri:in(${paths.map((path) => JSON.stringify(path)).join(",")})`;

/** Of the requests, those that should be answered at once: no upload, no language model, no web socket. */
function quick({ uploadRoutes, languageModelRoutes }: MonitoringFacts): string {
  return `!${oneOf([...uploadRoutes, ...languageModelRoutes])} !status:=101`;
}

const failedShare = (least: number, percent: number) =>
  `| stats count() total, count() if (status:>=500) failed | math failed / total * 100 as percent | filter total:>=${least} percent:>${percent} | fields percent`;

// Without a row, a quantile is empty and the rule would fail: the count removes such a result.
const slowest = (share: number, least: number, seconds: number) =>
  `| stats quantile(${share}, seconds) time, count() total | filter total:>=${least} time:>${seconds} | fields time`;

function errorRules({ thresholds, stack }: MonitoringFacts): Rule[] {
  const { p1Percent, p2Percent, p3Percent, p2Minutes, p3Minutes, windowMinutes, minimumRequests } =
    thresholds.errors;
  const rule = (name: string, severity: Severity, percent: number, lasting = 0): Rule => ({
    name,
    severity,
    expr: `${requests(`${windowMinutes}m`)} ${failedShare(minimumRequests, percent)}`,
    topic: "errors",
    title: `Plus de ${percent} % des demandes échouent`,
    where: GATEWAY,
    value: `${value(1)} % en ${windowMinutes} min`,
    threshold: lastingMinutes(`${percent} %`, lasting),
    ...(lasting === 0 ? {} : { forSeconds: minutes(lasting) }),
    meaning: "Des techniciens reçoivent une erreur au lieu d'une réponse.",
    action: `npm run logs -- ${stack} gateway --errors nomme les adresses ; après une mise en production : npm run rollback -- ${stack}.`,
  });
  return [
    { ...rule("ErrorRateCritical", "P1", p1Percent), rollback: true },
    rule("ErrorRateHigh", "P2", p2Percent, p2Minutes),
    rule("ErrorRateElevated", "P3", p3Percent, p3Minutes),
  ];
}

function latencyRules(facts: MonitoringFacts): Rule[] {
  const { latency } = facts.thresholds;
  const rule = (name: string, severity: Severity, share: number, seconds: number): Rule => ({
    name,
    severity,
    expr: `${requests("5m")} ${quick(facts)} ${slowest(share, latency.minimumRequests, seconds)}`,
    topic: "latency",
    title: `Réponses lentes : p${share * 100} au-dessus de ${seconds} s`,
    where: GATEWAY,
    value: `${value(2)} s`,
    threshold: `${seconds} s`,
    meaning: "TechnicIA se sent lent ; envois et questions ne sont pas comptés ici.",
    action: `npm run metrics -- ${facts.stack} : processeurs, mémoire et services ; npm run logs -- ${facts.stack} gateway --since 15m.`,
  });
  const degraded = (fast: Rule): Rule => ({
    ...fast,
    threshold: lastingMinutes(fast.threshold, latency.degradedMinutes),
    forSeconds: minutes(latency.degradedMinutes),
  });
  return [
    { ...rule("LatencyCritical", "P1", 0.95, latency.p1P95Seconds), rollback: true },
    degraded(rule("LatencyHigh", "P2", 0.95, latency.p2P95Seconds)),
    degraded(rule("LatencyMedian", "P3", 0.5, latency.p3P50Seconds)),
    degraded(rule("LatencyTail", "P3", 0.99, latency.p3P99Seconds)),
  ];
}

function slowRules(facts: MonitoringFacts): Rule[] {
  const { p1Seconds, p2Seconds, p3Seconds, atLeast } = facts.thresholds.slowRequests;
  const rule = (name: string, severity: Severity, seconds: number): Rule => ({
    name,
    severity,
    expr: `${requests("5m")} ${quick(facts)} seconds:>${seconds} | stats count() slow | filter slow:>=${atLeast}`,
    topic: "slow-requests",
    title: `Une demande a duré plus de ${seconds} s`,
    where: GATEWAY,
    value: `${value()} demande(s) en 5 min`,
    threshold: `${seconds} s, dès ${atLeast} demande(s)`,
    meaning: "Un service ne répond plus à temps ; le navigateur abandonne bientôt.",
    action: `npm run logs -- ${facts.stack} gateway --since 15m montre laquelle, npm run logs -- ${facts.stack} --request <id> ce qui s'est passé.`,
  });
  return [
    rule("SlowRequestCritical", "P1", p1Seconds),
    rule("SlowRequestHigh", "P2", p2Seconds),
    rule("SlowRequestElevated", "P3", p3Seconds),
  ];
}

function languageModelRules({ thresholds, languageModelRoutes, stack }: MonitoringFacts): Rule[] {
  const { p2Seconds, p3Seconds, failedPercent, minimumRequests } = thresholds.languageModel;
  const questions = `${requests("15m")} ${oneOf(languageModelRoutes)}`;
  const slow = (name: string, severity: Severity, seconds: number): Rule => ({
    name,
    severity,
    expr: `${questions} ${slowest(0.95, minimumRequests, seconds)}`,
    topic: "questions-slow",
    title: `Les questions attendent plus de ${seconds} s`,
    where: "questions et diagnostics",
    value: `p95 de ${value(1)} s`,
    threshold: `${seconds} s`,
    meaning: "Le modèle de langage ou la recherche de documents est lent.",
    action: `npm run logs -- ${stack} n8n --since 15m ; l'état du fournisseur du modèle.`,
  });
  return [
    slow("QuestionsVerySlow", "P2", p2Seconds),
    slow("QuestionsSlow", "P3", p3Seconds),
    {
      name: "QuestionsFailing",
      severity: "P2",
      expr: `${questions} ${failedShare(minimumRequests, failedPercent)}`,
      title: `Plus de ${failedPercent} % des questions échouent`,
      where: "questions et diagnostics",
      value: `${value(1)} % en 15 min`,
      threshold: `${failedPercent} %`,
      meaning: "Le modèle de langage, sa clé, son crédit ou un workflow est en cause.",
      action: `npm run logs -- ${stack} n8n --errors ; crédit et limites chez le fournisseur.`,
    },
  ];
}

function uploadRules({ thresholds, uploadRoutes, stack }: MonitoringFacts): Rule[] {
  const { p3Seconds, failedPercent, minimumRequests } = thresholds.uploads;
  return [
    {
      name: "UploadsSlow",
      severity: "P3",
      expr: `${requests("1h")} ${oneOf(uploadRoutes)} ${slowest(0.95, minimumRequests, p3Seconds)}`,
      title: `Les envois de documents durent plus de ${p3Seconds} s`,
      where: "envois de documents",
      value: `p95 de ${value()} s`,
      threshold: `${p3Seconds} s`,
      meaning: "Le traitement des documents n'avance plus comme d'habitude.",
      action: `npm run logs -- ${stack} document-processor --since 1h ; npm run metrics -- ${stack}.`,
    },
    {
      name: "UploadsFailing",
      severity: "P2",
      expr: `${requests("15m")} ${oneOf(uploadRoutes)} ${failedShare(minimumRequests, failedPercent)}`,
      title: `Plus de ${failedPercent} % des envois échouent`,
      where: "envois de documents",
      value: `${value(1)} % en 15 min`,
      threshold: `${failedPercent} %`,
      meaning: "Des documents n'entrent pas dans la base.",
      action: `npm run logs -- ${stack} document-processor --errors, puis npm run logs -- ${stack} n8n --errors.`,
    },
  ];
}

function refusalRules({ thresholds, stack }: MonitoringFacts): Rule[] {
  const { editorFailuresPerHour, refusedPer15Minutes } = thresholds.security;
  return [
    {
      name: "RequestsRetried",
      severity: "P2",
      expr: `${requests("5m")} | stats count() if (upstream:~",") retried | filter retried:>${thresholds.retries.count}`,
      title: "La passerelle doit répéter des demandes",
      where: GATEWAY,
      value: `${value()} en 5 min`,
      threshold: `${thresholds.retries.count} demandes`,
      meaning: "Un service coupe ou refuse des connexions.",
      action: `npm run logs -- ${stack} gateway --errors nomme le service.`,
    },
    {
      name: "RefusedPaths",
      severity: "P3",
      expr: `${requests("15m")} status:in(401,403,404,429) | stats count() refused | filter refused:>${refusedPer15Minutes}`,
      title: "Beaucoup de demandes refusées",
      where: GATEWAY,
      value: `${value()} en 15 min`,
      threshold: `${refusedPer15Minutes} demandes`,
      meaning: "Quelqu'un cherche des failles, ou une adresse du site est fausse.",
      action: `npm run logs -- ${stack} gateway --since 15m --grep '"status":4' montre les adresses.`,
    },
    {
      name: "EditorLoginsFailing",
      severity: "P3",
      expr: `${requests("1h")} uri:="/rest/login" status:in(401,403,429) | stats count() failed | filter failed:>${editorFailuresPerHour}`,
      title: "Des connexions à l'éditeur de n8n échouent",
      where: "éditeur de n8n",
      value: `${value()} en 1 h`,
      threshold: `${editorFailuresPerHour} connexions`,
      meaning: "Quelqu'un devine un mot de passe, ou l'a oublié.",
      action: `npm run logs -- ${stack} gateway --since 1h --grep /rest/login montre d'où.`,
    },
  ];
}

/** A count of nothing is a row of zero: silence is seen. Signs of life come once a minute. */
function neighbourRules({ neighbours, thresholds }: MonitoringFacts): Rule[] {
  return neighbours.map((neighbour) => ({
    name: "NeighbourSilent",
    severity: "P1",
    expr: `_time:2m {app_name="gateway"} | unpack_json from _msg fields (uri, status) | filter uri:=${JSON.stringify(`/deadman/${neighbour.stack}`)} status:=204 | stats count() pings | filter pings:=0`,
    forSeconds: minutes(thresholds.neighbours.silentMinutes - 2),
    labels: { neighbour: neighbour.stack, id: `NeighbourSilent-${neighbour.stack}` },
    title: `${neighbour.stack} ne donne plus signe de vie`,
    where: `environnement ${neighbour.stack}`,
    value: `aucun signe depuis ${thresholds.neighbours.silentMinutes} min`,
    threshold: `${thresholds.neighbours.silentMinutes} min`,
    meaning: "Sa surveillance, ses envois ou son serveur sont arrêtés : il ne préviendra plus.",
    action: `npm run status -- ${neighbour.stack} ; npm run alerts -- ${neighbour.stack}.`,
  }));
}

function unreadableRule({ thresholds, stack }: MonitoringFacts): Rule {
  return {
    name: "UnreadableLines",
    severity: "P3",
    expr: `_time:15m {app_name="gateway"} | unpack_json from _msg fields (status) | filter status:="" | stats count() unreadable | filter unreadable:>${thresholds.logs.unreadableLines}`,
    title: "Des lignes d'accès sont illisibles",
    where: GATEWAY,
    value: `${value()} en 15 min`,
    threshold: `${thresholds.logs.unreadableLines} lignes`,
    meaning: "Ces demandes manquent dans les taux d'erreur et les temps de réponse.",
    action: `npm run logs -- ${stack} gateway --since 15m montre ces lignes.`,
  };
}

/**
 * `gateway{group, stats_result}` describes the last five minutes of a group of routes: `requests`, `failed`, `refused`, and where there are
 * any, `p50`, `p95`, `p99` in seconds. The times of `all` are those of the quick routes. `concurrent` is the mean number of requests that
 * were being answered. `gateway_lines` counts the lines of the last minute.
 */
export function usageRecordings(facts: MonitoringFacts): Recording[] {
  const groups = { all: "", upload: oneOf(facts.uploadRoutes), question: oneOf(facts.languageModelRoutes) };
  const all = requests("5m");
  return Object.entries(groups).flatMap(([group, filter]) => [
    {
      record: "gateway",
      labels: { group },
      expr: `${all} ${filter} | stats count() requests, count() if (status:>=500) failed, count() if (status:in(401,403,404,429)) refused`,
    },
    {
      record: "gateway",
      labels: { group },
      expr: `${all} ${filter === "" ? quick(facts) : filter} | stats quantile(0.5, seconds) p50, quantile(0.95, seconds) p95, quantile(0.99, seconds) p99, count() measured | filter measured:>0`,
    },
    {
      record: "gateway",
      labels: { group },
      expr: `${all} ${filter} !status:=101 | stats sum(seconds) busy, count() measured | filter measured:>0 | math busy / 300 as concurrent | fields concurrent`,
    },
    ...(group === "all"
      ? [
          {
            record: "gateway_lines",
            expr: '_time:1m {app_name="gateway"} | stats count() lines',
          },
        ]
      : []),
  ]);
}

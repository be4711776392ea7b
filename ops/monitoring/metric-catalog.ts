/** The metrics that the team follows: how each is asked for, in which unit, and from which value on an alert is raised. */
import { ownServices, restartsBy, SERVER_LABEL } from "../../common/monitoring.ts";
import { enabledAliases } from "../../common/services.ts";
import type { Environment } from "../../stacks/environment.ts";
import { areSeveral } from "../../stacks/servers.ts";

export type Unit = "%" | "s" | "/s" | "d" | "h" | "";

export interface Limit {
  readonly value: number;

  /** Whether a value above it or below it is too much. */
  readonly side: "above" | "below";

  /** The setting, below `technicia:`. */
  readonly setting: string;
}

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly unit: Unit;

  /** MetricsQL of the value now. */
  readonly now: string;

  /** MetricsQL of the value over a span such as `24h`, and what it is of the values in it. */
  readonly over: (span: Span) => string;
  readonly kind: "mean" | "highest" | "lowest" | "sum" | "share";
  readonly limit?: Limit;

  /** Whether the limit is for the value now only, because a sum over another span is another quantity. */
  readonly limitsNow?: true;

  /** Label by which there are several. */
  readonly by?: "service" | "server";
}

export interface Span {
  /** As MetricsQL writes it. */
  readonly text: string;
  readonly seconds: number;
}

/** The store keeps at least as much. */
const SINCE_THE_BEGINNING = "35d";

const gateway = (result: string) => `max(gateway{group="all",stats_result="${result}"})`;
const sumOf = (result: string, { text }: Span) =>
  `sum(sum_over_time(gateway{group="all",stats_result="${result}"}[${text}]))`;

/** Of a server; of several, with ` by (server) ` of each. */
const freeDisk = (by: string) =>
  `100 * min${by}(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|devtmpfs|squashfs|iso9660|vfat|fuse.*|nsfs",mountpoint!~"/(boot|dev|etc|proc|run|sys)(/.*)?"} / node_filesystem_size_bytes)`;
const usedMemory = (by: string) =>
  `100 * (1 - max${by}(node_memory_MemAvailable_bytes) / max${by}(node_memory_MemTotal_bytes))`;
const load = (by: string) => `max${by}(node_load5) / count${by}(node_cpu_seconds_total{mode="idle"})`;
const busy = (by: string, span: string) =>
  `100 * (1 - avg${by}(rate(node_cpu_seconds_total{mode="idle"}[${span}])))`;
const CERTIFICATE_DAYS = `(min(probe_ssl_earliest_cert_expiry{job="public"}, technicia_certificate_not_after_timestamp_seconds) - time()) / 86400`;
const ageOf = (name: string, unitSeconds: number) =>
  `(time() - max(technicia_${name}_last_success_timestamp_seconds)) / ${unitSeconds}`;
const CONTAINER_MEMORY =
  "100 * max by (service) (technicia_container_memory_working_set_bytes) / (max by (service) (technicia_container_memory_limit_bytes) > 0)";

/** Of the values in the span, one each five minutes. */
const rollup = (kind: "avg" | "max" | "min", expression: string) => (span: Span) =>
  `${kind}_over_time((${expression})[${span.text}:5m])`;

const ofGroup = (group: "question" | "upload", result: string) =>
  `max(gateway{group="${group}",stats_result="${result}"})`;
const ANSWERS = 'max(answers{stats_result="answers"})';

/** How many there were: of a series that counts those of a window, one value for each window. */
const counted = (
  named: Pick<Metric, "key" | "title">,
  expression: string,
  window: "5m" | "1h" = "5m",
): Metric => ({
  ...named,
  ...{ unit: "", kind: "sum", now: expression },
  over: ({ text }) => `sum_over_time((${expression})[${text}:${window}])`,
});

/** A share in percent; of a time without any there is none. */
const shareOf = (part: string, whole: string): Pick<Metric, "now" | "over"> => ({
  now: `100 * ${part} / (${whole} > 0)`,
  over: ({ text }) =>
    `100 * sum_over_time((${part})[${text}:5m]) / (sum_over_time((${whole})[${text}:5m]) > 0)`,
});

export const above = (value: number, setting: string): Limit => ({ value, side: "above", setting });
export const below = (value: number, setting: string): Limit => ({ value, side: "below", setting });

/**
 * Share of the time in which a probe succeeded, in percent: a probe that is missing counts as failed, back to the first that there ever was.
 */
export function availability(
  selector: string,
  everySeconds: number,
): Pick<Metric, "now" | "over" | "kind" | "unit"> {
  const over = ({ text, seconds }: Span) => {
    const known = `clamp_max(time() - min(tfirst_over_time(${selector}[${SINCE_THE_BEGINNING}])) + ${everySeconds}, ${seconds})`;
    return `clamp_max(100 * sum(sum_over_time(${selector}[${text}])) * ${everySeconds} / ${known}, 100)`;
  };
  return { unit: "%", kind: "share", now: over({ text: "5m", seconds: 300 }), over };
}

/** Of several servers, a measure of a server is that of the worst one, or with `ofEachServer` each server's. */
export function metricsOf(
  environment: Environment,
  { ofEachServer = false }: { readonly ofEachServer?: boolean } = {},
): readonly Metric[] {
  const { scrapeSeconds } = environment.monitoring;
  const fromHere: Metric = {
    ...availability('probe_success{job="public"}', scrapeSeconds),
    key: "availabilityFromTheServer",
    title: "Availability, from the server",
  };
  return [
    fromHere,
    ...requestMetrics(environment),
    ...useMetrics(environment),
    ...loginMetrics(environment),
    ...serverMetrics(environment, ofEachServer),
    ...serviceMetrics(environment),
    ...recordMetrics(environment),
  ];
}

function requestMetrics({ monitoring }: Environment): Metric[] {
  const { errors, latency } = monitoring.thresholds;
  const time = (result: "p50" | "p95" | "p99", limit: Limit): Metric => ({
    ...{ key: result, title: `Answers, ${result}`, unit: "s", kind: "mean", limit },
    now: gateway(result),
    over: rollup("avg", gateway(result)),
  });
  return [
    time("p50", above(latency.p3P50Seconds, "monitoring.thresholds.latency.p3P50Seconds")),
    time("p95", above(latency.p2P95Seconds, "monitoring.thresholds.latency.p2P95Seconds")),
    time("p99", above(latency.p3P99Seconds, "monitoring.thresholds.latency.p3P99Seconds")),
    {
      ...{ key: "errors", title: "Failed requests", unit: "%", kind: "share" },
      now: `100 * ${gateway("failed")} / (${gateway("requests")} > 0)`,
      over: (span) => `100 * ${sumOf("failed", span)} / (${sumOf("requests", span)} > 0)`,
      limit: above(errors.p3Percent, "monitoring.thresholds.errors.p3Percent"),
    },
    {
      ...{ key: "requests", title: "Requests", unit: "/s", kind: "mean" },
      now: `${gateway("requests")} / 300`,
      over: rollup("avg", `${gateway("requests")} / 300`),
    },
    {
      ...{ key: "concurrent", title: "Requests at the same time", unit: "", kind: "highest" },
      now: gateway("concurrent"),
      over: rollup("max", gateway("concurrent")),
    },
  ];
}

/** Questions and diagnoses, uploads, documents and answers. */
function useMetrics({ monitoring }: Environment): Metric[] {
  const { languageModel, uploads } = monitoring.thresholds;
  return [
    counted({ key: "questions", title: "Questions and diagnoses in 5 min" }, ofGroup("question", "requests")),
    {
      ...{ key: "questionsFailed", title: "Failed questions", unit: "%", kind: "share" },
      ...shareOf(ofGroup("question", "failed"), ofGroup("question", "requests")),
      limit: above(languageModel.failedPercent, "monitoring.thresholds.languageModel.failedPercent"),
    },
    {
      ...{ key: "questionsP95", title: "Questions, p95", unit: "s", kind: "mean" },
      now: ofGroup("question", "p95"),
      over: rollup("avg", ofGroup("question", "p95")),
      limit: above(languageModel.p3Seconds, "monitoring.thresholds.languageModel.p3Seconds"),
    },
    counted({ key: "answers", title: "Answers in 1 h" }, ANSWERS, "1h"),
    {
      ...{ key: "answersUnsourced", title: "Answers without a source", unit: "%", kind: "share" },
      ...shareOf('max(answers{stats_result="unsourced"})', ANSWERS),
      limit: above(languageModel.unsourcedPercent, "monitoring.thresholds.languageModel.unsourcedPercent"),
    },
    counted({ key: "uploads", title: "Uploads in 5 min" }, ofGroup("upload", "requests")),
    {
      ...{ key: "uploadsFailed", title: "Failed uploads", unit: "%", kind: "share" },
      ...shareOf(ofGroup("upload", "failed"), ofGroup("upload", "requests")),
      limit: above(uploads.failedPercent, "monitoring.thresholds.uploads.failedPercent"),
    },
    tokens("input", "Tokens sent to language models in 5 min"),
    tokens("output", "Tokens answered by language models in 5 min"),
    counted(
      { key: "documents", title: "Documents indexed in 1 h" },
      'max(documents{stats_result="documents"})',
      "1h",
    ),
  ];
}

/** Absent where no model answered; until the next evaluation and not for longer, so that none is counted twice. */
const tokens = (kind: "input" | "output", title: string): Metric =>
  counted({ key: `tokens.${kind}`, title }, `sum(default_rollup(model_tokens{stats_result="${kind}"}[1m]))`);

/** Logins of people: each way in, and those that failed as the rules count them. */
function loginMetrics({ monitoring }: Environment): Metric[] {
  const { sshFailuresPerHour, editorFailuresPerHour } = monitoring.thresholds.security;
  const logins = (kind: string) => `max(logins{stats_result="${kind}"})`;
  const failed = (key: string, title: string, { kind, limit }: { kind: string; limit: Limit }): Metric => ({
    ...counted({ key, title }, logins(kind)),
    now: `sum_over_time(${logins(kind)}[1h:5m])`,
    ...{ limit, limitsNow: true },
  });
  return [
    counted({ key: "sshLogins", title: "Logins by ssh in 5 min" }, logins("ssh")),
    failed("sshLoginsFailed", "Failed logins by ssh in 1 h", {
      kind: "ssh_failed",
      limit: above(sshFailuresPerHour, "monitoring.thresholds.security.sshFailuresPerHour"),
    }),
    counted({ key: "editorLogins", title: "Logins to n8n in 5 min" }, logins("editor")),
    failed("editorLoginsFailed", "Failed logins to n8n in 1 h", {
      kind: "editor_failed",
      limit: above(editorFailuresPerHour, "monitoring.thresholds.security.editorFailuresPerHour"),
    }),
  ];
}

function serverMetrics(environment: Environment, ofEach: boolean): Metric[] {
  const { cpu, memory, disk } = environment.monitoring.thresholds;
  const isSeveral = areSeveral(environment);
  const by = isSeveral ? ` by (${SERVER_LABEL}) ` : "";
  const worst = (expression: string) => (isSeveral && !ofEach ? `max(${expression})` : expression);
  const [loaded, used, full] = [load(by), usedMemory(by), `100 - ${freeDisk(by)}`].map(worst) as [
    string,
    string,
    string,
  ];
  const metrics: Metric[] = [
    {
      ...{ key: "cpu", title: "Processors", unit: "%", kind: "mean" },
      now: worst(busy(by, "5m")),
      over: ({ text }) => worst(busy(by, text)),
      limit: above(cpu.percent, "monitoring.thresholds.cpu.percent"),
    },
    {
      ...{ key: "load", title: "Load for each core", unit: "", kind: "highest" },
      now: loaded,
      over: rollup("max", loaded),
      limit: above(cpu.warningLoad, "monitoring.thresholds.cpu.warningLoad"),
    },
    {
      ...{ key: "memory", title: "Memory", unit: "%", kind: "highest" },
      now: used,
      over: rollup("max", used),
      limit: above(memory.p3Percent, "monitoring.thresholds.memory.p3Percent"),
    },
    {
      ...{ key: "disk", title: "Disk", unit: "%", kind: "highest" },
      now: full,
      over: rollup("max", full),
      limit: above(disk.warningUsedPercent, "monitoring.thresholds.disk.warningUsedPercent"),
    },
  ];
  return isSeveral && ofEach ? metrics.map((metric) => ({ ...metric, by: "server" })) : metrics;
}

function serviceMetrics(environment: Environment): Metric[] {
  const { restarts, containerMemory } = environment.monitoring.thresholds;
  const own = ownServices(enabledAliases(environment)).join("|");
  return [
    {
      ...{ key: "restarts", title: `Starts of a service in ${restarts.minutes} min`, unit: "", kind: "sum" },
      // As CrashLoop judges it: the service that has started most often.
      now: `max(${restartsBy(own, restarts.minutes)})`,
      over: ({ text }) => `sum(increase(technicia_task_starts_total[${text}]))`,
      limit: above(restarts.count, "monitoring.thresholds.restarts.count"),
      limitsNow: true,
    },
    {
      ...{ key: "serviceMemory", title: "Memory of", unit: "%", kind: "highest", by: "service" },
      now: CONTAINER_MEMORY,
      over: rollup("max", CONTAINER_MEMORY),
      limit: above(containerMemory.p3Percent, "monitoring.thresholds.containerMemory.p3Percent"),
    },
  ];
}

function recordMetrics({ monitoring, backup }: Environment): Metric[] {
  const { certificate, drills } = monitoring.thresholds;
  const [backupHours, drillDays] = [ageOf("backup", 3600), ageOf("drill", 86_400)];
  return [
    {
      ...{ key: "certificateDays", title: "Certificate is valid for", unit: "d", kind: "lowest" },
      now: CERTIFICATE_DAYS,
      over: rollup("min", CERTIFICATE_DAYS),
      limit: below(certificate.p3Days, "monitoring.thresholds.certificate.p3Days"),
    },
    {
      ...{ key: "backupHours", title: "Age of the newest backup", unit: "h", kind: "highest" },
      now: backupHours,
      over: rollup("max", backupHours),
      limit: above(backup.maxAgeHours, "backup.maxAgeHours"),
    },
    {
      ...{ key: "drillDays", title: "Age of the last drill", unit: "d", kind: "highest" },
      now: drillDays,
      over: rollup("max", drillDays),
      limit: above(
        backup.drillDays + drills.overdueDays,
        "backup.drillDays + monitoring.thresholds.drills.overdueDays",
      ),
    },
  ];
}

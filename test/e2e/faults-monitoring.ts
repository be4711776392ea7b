/** What the monitoring itself lacks. Without the metrics' store, their rules or Alertmanager nobody is told: that is `faults-neighbours`'s. */
import type { Fault } from "./faults.ts";
import { START, STOP } from "./faults-services.ts";

const FOLDER = "/opt/technicia/monitoring";

const reload = (alias: string, port: number) => `/opt/technicia/bin/monitoring-reload ${alias} ${port}`;

/** Has a program read a file that somebody changed, and keeps the one from before. */
function edited(
  file: string,
  { change, reread }: { readonly change: string; readonly reread: string },
): Pick<Fault, "inject" | "repair"> {
  const path = `${FOLDER}/${file}`;
  const kept = `/root/${file.replaceAll("/", "-")}.kept`;
  return {
    inject: `cp --archive ${path} ${kept}\n${change}\n${reread}`,
    repair: `cat ${kept} > ${path}; rm ${kept}; ${reread}`,
  };
}

const WITHOUT_QDRANT = `python3 - <<'P'
import pathlib, re
path = pathlib.Path("${FOLDER}/metrics/scrape.yml")
path.write_text(re.sub(r"(?ms)^  - job_name: qdrant\\n.*?(?=^  - job_name|\\Z)", "", path.read_text()))
P`;

/** Each value meets all others, which the store refuses: the rule is written well and fails. */
const WITH_A_RULE_THAT_FAILS = `cat >> ${FOLDER}/metric-rules/rules.yml <<'Y'
  - name: mallory
    interval: 15s
    rules:
      - record: mallory
        expr: up + on () up
Y`;

/** A store that has reached its share of the disk: more must stay free than there is. */
function full(alias: "metrics" | "logs"): Pick<Fault, "inject" | "repair" | "restarts"> {
  const running = `docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-${alias}`;
  const change = (update: string) => `before=$(${running})
${update} technicia-${alias} >/dev/null
until [ -z "$(docker ps --quiet --filter id=$before)" ]; do sleep 0.5; done
until [ -n "$(${running} --filter health=healthy)" ]; do sleep 0.5; done`;
  const args = `args=$(docker service inspect technicia-${alias} --format '{{json .Spec.TaskTemplate.ContainerSpec.Args}}' | python3 -c '
import json, re, shlex, sys
print(shlex.join(re.sub("^-storage.minFreeDiskSpaceBytes=.*", "-storage.minFreeDiskSpaceBytes=1024TiB", one) for one in json.load(sys.stdin)))')`;
  return {
    inject: `${args}\n${change('docker service update --detach --args "$args"')}`,
    repair: change("docker service update --detach --rollback"),
    restarts: [alias, alias],
  };
}

/** What the rest of the monitoring may say where one of its programs is away, or has just come back. */
export const BLIND: readonly string[] = [
  ...["RuleErrors", "RulesLate", "AccessLogSilent", "JournalSilent", "UnreadableLines", "LinesDropped"],
  ...["TargetMissing", "MonitoringRestarts"],
];

/** Each batch without what would explain another one's faults. */
export const OWN_HEALTH: readonly (readonly Fault[])[] = [
  [
    {
      name: "the prober is stopped",
      breaks: { service: "probes", how: "stopped" },
      inject: STOP("probes"),
      repair: START("probes"),
      alerts: { "TargetDown-probes": "P2" },
      restarts: ["probes"],
    },
    {
      name: "the host's exporter is stopped",
      inject: "systemctl stop prometheus-node-exporter.service",
      repair: "systemctl start prometheus-node-exporter.service",
      alerts: { "CollectorSourceDown-host": "P2" },
    },
  ],
  [
    {
      name: "the collector is stopped",
      inject: "systemctl stop technicia-collect.service",
      repair: "systemctl start technicia-collect.service",
      alerts: { CollectorSilent: "P2" },
      windowSeconds: 120,
    },
    {
      name: "the rules about logs are no longer evaluated",
      breaks: { service: "log-rules", how: "stopped" },
      inject: STOP("log-rules"),
      repair: START("log-rules"),
      alerts: { "MonitoringDown-log-rules": "P1" },
      mayFollow: BLIND,
      restarts: ["log-rules"],
    },
  ],
  [
    {
      name: "the store of the logs is stopped",
      breaks: { service: "logs", how: "stopped" },
      inject: STOP("logs"),
      repair: START("logs"),
      alerts: { "MonitoringDown-logs": "P1" },
      follows: ["RuleErrors"],
      mayFollow: BLIND,
      restarts: ["logs"],
    },
  ],
  [
    {
      name: "a target is no longer asked",
      ...edited("metrics/scrape.yml", { change: WITHOUT_QDRANT, reread: reload("metrics", 8428) }),
      alerts: { "TargetMissing-qdrant": "P2" },
      // Until its last value no longer counts.
      windowSeconds: 60,
    },
    {
      name: "a rule fails",
      ...edited("metric-rules/rules.yml", {
        change: WITH_A_RULE_THAT_FAILS,
        reread: reload("metric-rules", 8880),
      }),
      alerts: { "RuleErrors-metric-rules": "P2" },
      windowSeconds: 30,
      endsSeconds: 75,
    },
    {
      name: "a line is older than what is kept",
      inject: `curl --silent --fail --header 'content-type: application/stream+json' --data '{"_msg":"old","_time":"2020-01-01T00:00:00Z"}' 'http://127.0.0.1:9428/insert/jsonline'`,
      repair: "true",
      alerts: { LinesDropped: "P3" },
      endsSeconds: 300,
    },
  ],
  [
    {
      name: "the gateway can no longer send its access log",
      // What is connected stays so without the file: the gateway looks for it again at its next reload, such as for a certificate.
      inject: `rm ${FOLDER}/socket/access.sock
docker exec $(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-gateway) nginx -s reload`,
      repair: `docker kill $(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-logs) >/dev/null
until [ -S ${FOLDER}/socket/access.sock ]; do sleep 0.5; done`,
      alerts: { AccessLogSilent: "P2" },
      windowSeconds: 75,
      endsSeconds: 60,
      restarts: ["logs"],
    },
  ],
  [
    {
      name: "the logs have reached their share of the disk",
      ...full("logs"),
      alerts: { "StoreReadOnly-logs": "P1" },
      mayFollow: ["AccessLogSilent", "LinesDropped", "JournalSilent"],
      endsSeconds: 75,
    },
  ],
  [
    {
      name: "the metrics have reached their share of the disk",
      ...full("metrics"),
      alerts: { "StoreReadOnly-metrics": "P1" },
      mayFollow: ["CollectorSilent", "TargetMissing", ...BLIND],
      // It knows nothing newer.
      windowSeconds: 75,
      endsSeconds: 75,
    },
  ],
];

/** Ways in which somebody changes the monitoring of a deployed environment, and what a check has to say of it. */
import type { Drift } from "./drifts.ts";

const FOLDER = "/opt/technicia/monitoring";

function change(name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer: "containers", tamper: { where: "server", command }, expect };
}

const byHand = (file: string) => `sed --in-place '1i # by hand' ${FOLDER}/${file}`;

/** A file of a program, by its resource: a first line that nobody declared. */
const edited = (name: string, file: string, resource: string): Drift =>
  change(name, byHand(file), new RegExp(`^containers ${resource}: content: nothing → # by hand$`));

const PROGRAMS = ["metrics", "logs", "metric-rules", "log-rules", "alerts", "probes"];

export const MONITORING: readonly Drift[] = [
  change(
    "a rule has another limit",
    `sed --in-place '0,/ == 0$/s/ == 0$/ == 7/' ${FOLDER}/metric-rules/rules.yml`,
    /^containers monitoring-metric-rules-rules: content: .* == 0.* → .* == 7/,
  ),
  edited("the rules about logs are edited", "log-rules/rules.yml", "monitoring-log-rules-rules"),
  change(
    "a route leads to nobody",
    `sed --in-place '0,/receiver: pager$/s/receiver: pager$/receiver: nobody/' ${FOLDER}/alerts/alertmanager.yml`,
    /^containers monitoring-alerts-alertmanager: content: .*receiver: pager.* → .*receiver: nobody/,
  ),
  change(
    "a message says something else",
    `sed --in-place 's/Que faire/Rien à faire/' ${FOLDER}/alerts/messages.tmpl`,
    /^containers monitoring-alerts-messages: content: .*Que faire.* → .*Rien à faire/,
  ),
  change(
    "a dashboard is edited",
    `sed --in-place 's/Utilisateurs/Personne/' ${FOLDER}/metrics/dashboards/users.json`,
    /^containers monitoring-metrics-dashboards-users: content: .*Utilisateurs.* → .*Personne/,
  ),
  change(
    "a dashboard is gone",
    `rm ${FOLDER}/metrics/dashboards/host.json`,
    /^containers monitoring-metrics-dashboards-host: file on the host: there → not there$/,
  ),
  edited("what is asked for metrics is edited", "metrics/scrape.yml", "monitoring-metrics-scrape"),
  edited("how probes ask is edited", "probes/blackbox.yml", "monitoring-probes-blackbox"),
  change(
    "the collector is edited",
    `sed --in-place '2i # by hand' ${FOLDER}/collect.py`,
    /^containers monitoring-program-collect: content: nothing → # by hand$/,
  ),
  change(
    "the collector does nothing",
    "sed --in-place 's#^ExecStart=.*#ExecStart=/bin/sleep infinity#' /etc/systemd/system/technicia-collect.service; systemctl daemon-reload",
    /^containers monitoring-collect-service: content: ExecStart=.*collect\.py → ExecStart=\/bin\/sleep infinity$/,
  ),
  change(
    "the host is no longer measured",
    "systemctl disable --now prometheus-node-exporter.service",
    /^containers monitoring-exporter: (active|enabled): true → false$/,
  ),
  change(
    "the journal is no longer sent",
    "systemctl disable --now systemd-journal-upload.service",
    /^containers monitoring-journal-upload: (active|enabled): true → false$/,
  ),
  change(
    "the journal is sent elsewhere",
    "sed --in-place 's#^URL=.*#URL=http://203.0.113.9:9428/insert/journald#' /etc/systemd/journal-upload.conf.d/10-technicia.conf",
    /^containers monitoring-journal-settings: content: URL=.* → URL=http:\/\/203\.0\.113\.9/,
  ),
  change(
    "nothing can make the monitoring read its files again",
    "rm /opt/technicia/bin/monitoring-reload",
    /^containers monitoring-reload: file on the host: there → not there$/,
  ),
  ...PROGRAMS.map((alias): Drift => ({
    ...change(
      `the monitoring's program ${alias} has no task`,
      `docker service scale --detach technicia-${alias}=0`,
      new RegExp(`^containers technicia-${alias}-service: mode\\.replicated\\.replicas: 1 → 0$`),
    ),
    tamper: { where: "docker", command: `docker service scale --detach technicia-${alias}=0` },
  })),
  {
    ...change(
      "the store of the logs may be reached from everywhere",
      "",
      /^containers technicia-logs-service: (endpointSpec\.|resources\.)/,
    ),
    tamper: {
      where: "docker",
      command:
        "docker service update --detach --publish-add published=9428,target=9428,mode=host technicia-logs",
    },
    alone: true,
  },
  {
    ...change(
      "the store of the metrics keeps next to nothing",
      "",
      /^containers (technicia-metrics-service|extra-specs: service technicia-metrics): /,
      /^containers technicia-metrics-service: /,
    ),
    tamper: {
      where: "docker",
      command: `docker service update --detach --args "$(docker service inspect technicia-metrics --format '{{json .Spec.TaskTemplate.ContainerSpec.Args}}' | python3 -c 'import json, re, shlex, sys; print(shlex.join(re.sub("^-retentionPeriod=.*", "-retentionPeriod=1d", one) for one in json.load(sys.stdin)))')" technicia-metrics`,
    },
    alone: true,
  },
  // vmui shows every file of the folder; no program reads the other one, and who reads it would believe it.
  ...["metrics/dashboards/mallory.json", "metric-rules/mallory.yml"].map((file) => ({
    ...change(
      `there is a file ${file} of the monitoring that nobody declared`,
      `echo '{}' > ${FOLDER}/${file}`,
      new RegExp(`^host extra-system: stray file ${FOLDER}/${file.replaceAll(".", "\\.")}: `),
    ),
    layer: "host" as const,
    byHand: `rm ${FOLDER}/${file}`,
  })),
];

import { stringify } from "yaml";

import { MONITORING_PORTS, SERVER_LABEL } from "../../common/monitoring.ts";
import { GOSSIP_PORT } from "../../common/servers.ts";
import { type MonitoringFacts, SECRET_FILES } from "./facts.ts";
import type { ProbeModule } from "./probes.ts";
import { HEADER } from "./rules/rule.ts";

/** What is asked inside, by the alias of the service: its address, and the module that judges the answer. */
const INSIDE: Readonly<Record<string, { readonly target: string; readonly module: ProbeModule }>> = {
  n8n: { target: "http://n8n:5678/healthz/readiness", module: "inside" },
  qdrant: { target: "http://qdrant:6333/readyz", module: "inside" },
  "vector-store": { target: "http://vector-store:8000/health", module: "inside" },
  "document-processor": { target: "http://document-processor:8000/health", module: "inside" },
  "vision-classifier": { target: "http://vision-classifier:8000/health", module: "inside" },
  frontend: { target: "http://frontend:80/", module: "inside" },
  postgres: { target: "postgres:5432", module: "port" },
};

/** Of thousands of series about themselves, those that rules and dashboards read. */
const OWN_SERIES = [
  "process_(resident_memory_bytes|cpu_seconds_total)",
  "v[ml]_(storage_is_read_only|free_disk_space_bytes|data_size_bytes|rows|rows_dropped_total|rows_ingested_total)",
  "vl_(too_long_lines_skipped_total|storage_rows|compressed_data_size_bytes)",
  "vmalert_(alerting|recording)_rules_errors_total",
  "vmalert_(iteration_missed_total|alerts_send_errors_total|alerts_sent_total|config_last_reload_successful)",
  "vmalert_remotewrite_(dropped_rows_total|errors_total)",
  "alertmanager_(notifications_total|notifications_failed_total|notification_requests_total|config_last_reload_successful|alerts|silences)",
].join("|");

interface Target {
  /** Address that is scraped, or that the blackbox exporter is asked about. */
  readonly target: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** VictoriaMetrics' list of what it asks for metrics. */
export function renderScrape(facts: MonitoringFacts): string {
  const config = {
    global: {
      scrape_interval: `${facts.scrapeSeconds}s`,
      scrape_timeout: `${Math.min(facts.scrapeSeconds, 10)}s`,
    },
    scrape_configs: [...renderPrograms(facts), ...renderApplications(facts), ...renderProbed(facts)],
  };
  return HEADER + stringify(config, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** `instance` would be another name for the job. */
const DROP_INSTANCE = { action: "labeldrop", regex: "instance" };

/** What is asked for its own metrics is on the server of the monitoring, as the data is. */
function targetOf(target: string, { servers: [home] }: MonitoringFacts) {
  const labels = home === undefined ? {} : { labels: { [SERVER_LABEL]: home.server } };
  return [{ targets: [target], ...labels }];
}

function renderPrograms(facts: MonitoringFacts) {
  return Object.entries(MONITORING_PORTS).map(([job, port]) => ({
    job_name: job,
    static_configs: targetOf(`${job}:${port}`, facts),
    metric_relabel_configs: [
      { action: "keep", source_labels: ["__name__"], regex: OWN_SERIES },
      DROP_INSTANCE,
    ],
  }));
}

function renderApplications(facts: MonitoringFacts) {
  const { qdrantApiKey } = facts;
  const scrape = (job: string, port: number, options: object = {}) => ({
    job_name: job,
    static_configs: targetOf(`${job}:${port}`, facts),
    metric_relabel_configs: [DROP_INSTANCE],
    ...options,
  });
  const key = { authorization: { type: "Bearer", credentials_file: SECRET_FILES.qdrantApiKey } };
  return [scrape("n8n", 5678), scrape("qdrant", 6333, qdrantApiKey ? key : {})];
}

function gatewayTarget({ server, address }: MonitoringFacts["otherGateways"][number]): Target {
  return { target: `https://${address}/healthz`, labels: { server, job: "gateway" } };
}

function serverTarget({ server, address }: MonitoringFacts["servers"][number]): Target {
  return { target: `${address}:${GOSSIP_PORT}`, labels: { [SERVER_LABEL]: server, job: "server" } };
}

function renderProbed({ services, publicUrl, domain, servers, otherGateways, neighbours }: MonitoringFacts) {
  const inside = (module: ProbeModule) =>
    Object.entries(INSIDE)
      .filter(([alias, probe]) => services.includes(alias) && probe.module === module)
      .map(([service, { target }]) => ({ target, labels: { service, job: "inside" } }));
  const others = (isTrusted: boolean) =>
    neighbours
      .filter(({ trusted }) => trusted === isTrusted)
      .map(({ stack, url }) => ({ target: `${url}/healthz`, labels: { stack, job: "neighbour" } }));
  const groups: readonly (readonly [string, ProbeModule, readonly Target[]])[] = [
    ["inside", "inside", inside("inside")],
    ["inside-port", "port", inside("port")],
    ["public", "public", [{ target: `${publicUrl}/healthz`, labels: { job: "public" } }]],
    // Also a certificate that nobody trusts, or no more, is to be seen.
    ["gateway", "neighbour_untrusted", otherGateways.map(gatewayTarget)],
    ["server", "port", servers.slice(1).map(serverTarget)],
    ["neighbour", "neighbour", others(true)],
    ["neighbour-untrusted", "neighbour_untrusted", others(false)],
  ];
  return groups
    .filter(([, , targets]) => targets.length > 0)
    .map(([name, module, targets]) => ({
      job_name: name,
      metrics_path: "/probe",
      // Asked by its address, a gateway has to be told which name.
      params: { module: [module], ...(name === "gateway" ? { hostname: [domain] } : {}) },
      static_configs: targets.map(({ target, labels }) => ({ targets: [target], labels })),
      relabel_configs: [
        { source_labels: ["__address__"], target_label: "__param_target" },
        { target_label: "__address__", replacement: `probes:${MONITORING_PORTS.probes}` },
      ],
      metric_relabel_configs: [DROP_INSTANCE],
    }));
}

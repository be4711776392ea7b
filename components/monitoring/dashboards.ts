import { AFTERMATH } from "../../common/planned-alerts.ts";
import type { MonitoringFacts } from "./facts.ts";
import { by } from "./rules/rule.ts";

interface Panel {
  readonly title: string;
  readonly expr: readonly string[];
  readonly unit?: string;
  /** Columns of twelve. */
  readonly width?: number;
}

type Servers = Pick<MonitoringFacts, "servers">;

interface Dashboard {
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

/** The dashboards of vmui, by the names of their files. */
export function renderDashboards(
  facts: Pick<MonitoringFacts, "stack" | "neighbours" | "servers">,
): Readonly<Record<string, string>> {
  const { stack, neighbours } = facts;
  const dashboards = {
    "users.json": users(neighbours.length > 0),
    "services.json": services(facts),
    "host.json": host(facts),
  };
  return Object.fromEntries(
    Object.entries(dashboards).map(([file, { title, rows }]) => [
      file,
      `${JSON.stringify({ title: `${title} (${stack})`, rows }, null, 2)}\n`,
    ]),
  );
}
const panel = (title: string, expr: string | readonly string[], unit = ""): Panel => ({
  title,
  expr: typeof expr === "string" ? [expr] : expr,
  ...(unit === "" ? {} : { unit }),
  width: 6,
});

/** Times of a group of routes, each with a name in the legend. */
const times = (group: string): string[] =>
  ["p50", "p95", "p99"].map(
    (share) => `max by (stats_result) (gateway{group="${group}",stats_result="${share}"})`,
  );

const NEIGHBOURS = panel(
  "Disponibilité des voisins",
  '100 * avg by (stack) (avg_over_time(probe_success{job="neighbour"}[15m]))',
  "%",
);

const users = (hasNeighbours: boolean): Dashboard => ({
  title: "Utilisateurs",
  rows: [
    {
      title: "Le site",
      panels: [
        panel("Disponibilité, vue d'ici", '100 * avg_over_time(probe_success{job="public"}[15m])', "%"),
        ...(hasNeighbours ? [NEIGHBOURS] : []),
        panel("Demandes en 5 minutes", 'max by (group) (gateway{stats_result="requests"})'),
        panel(
          "Demandes en échec",
          '100 * max by (group) (gateway{stats_result="failed"}) / (max by (group) (gateway{stats_result="requests"}) > 0)',
          "%",
        ),
        panel("Temps de réponse", times("all"), "s"),
        panel("Demandes en même temps", 'max by (group) (gateway{stats_result="concurrent"})'),
      ],
    },
    {
      title: "Questions et documents",
      panels: [
        panel("Temps des questions", times("question"), "s"),
        panel("Temps des envois", times("upload"), "s"),
        panel("Réponses, et celles sans source, en 1 heure", "max by (stats_result) (answers)"),
        // n8n has no such counter until an execution fails.
        panel(
          "Exécutions de n8n en échec, en 15 minutes",
          "sum(increase(n8n_workflow_failed_total[15m])) or vector(0)",
        ),
      ],
    },
    {
      title: "Sécurité",
      panels: [
        panel("Connexions, réussies et échouées, en 5 minutes", "max by (stats_result) (logins)"),
        panel("Demandes refusées en 5 minutes", 'max(gateway{group="all",stats_result="refused"})'),
        panel(
          "Jours jusqu'à l'échéance du certificat",
          "(max(technicia_certificate_not_after_timestamp_seconds) - time()) / 86400",
        ),
      ],
    },
  ],
});

/** Of several servers, each measures the tasks of a service that it runs. */
const services = (facts: Servers): Dashboard => ({
  title: "Services",
  rows: [
    {
      title: "Santé",
      panels: [
        panel("Contrôles de santé", 'min by (service) (probe_success{job="inside"})'),
        panel("Temps des contrôles", 'max by (service) (probe_duration_seconds{job="inside"})', "s"),
        panel(
          "Conteneurs en marche",
          `${facts.servers.length > 0 ? "sum" : "max"} by (service) (technicia_service_running)`,
        ),
        panel(
          "Démarrages en 1 heure",
          "max by (service) (changes_prometheus(technicia_task_started_timestamp_seconds[1h]))",
        ),
      ],
    },
    {
      title: "Ressources",
      panels: [
        panel(
          "Mémoire",
          `max${by(facts, "service")}(technicia_container_memory_working_set_bytes) / 1048576`,
          "Mio",
        ),
        panel(
          "Part de la limite de mémoire",
          `100 * max${by(facts, "service")}(technicia_container_memory_working_set_bytes) / (max${by(facts, "service")}(technicia_container_memory_limit_bytes) > 0)`,
          "%",
        ),
        panel(
          "Processeur",
          `sum${by(facts, "service")}(rate(technicia_container_cpu_seconds_total[5m]))`,
          "cœurs",
        ),
        panel(
          "Mises à mort par manque de mémoire",
          `max${by(facts, "service")}(technicia_container_oom_kills_total)`,
        ),
      ],
    },
    {
      title: "Journaux et alertes",
      panels: [
        panel("Lignes par minute", "max by (service) (log_lines)"),
        panel("Erreurs par minute", "max by (service) (log_errors)"),
        panel(
          "Alertes en cours",
          `count by (alertname, severity) (ALERTS{alertstate="firing",alertname!="${AFTERMATH}"})`,
        ),
        panel("Mise en production", "max(technicia_release_number)"),
        panel("Question de vérification, par étape", "max by (hop) (technicia_release_hop_seconds)", "s"),
      ],
    },
  ],
});

const host = (facts: Servers): Dashboard => ({
  title: facts.servers.length > 0 ? "Serveurs" : "Serveur",
  rows: [
    {
      title: "Ressources",
      panels: [
        panel(
          "Processeurs",
          `100 * (1 - avg${by(facts)}(rate(node_cpu_seconds_total{mode="idle"}[5m])))`,
          "%",
        ),
        panel(
          "Charge par cœur",
          `max${by(facts)}(node_load5) / count${by(facts)}(node_cpu_seconds_total{mode="idle"})`,
        ),
        panel(
          "Mémoire utilisée",
          `100 * (1 - max${by(facts)}(node_memory_MemAvailable_bytes) / max${by(facts)}(node_memory_MemTotal_bytes))`,
          "%",
        ),
        panel(
          "Swap utilisé",
          `(max${by(facts)}(node_memory_SwapTotal_bytes) - max${by(facts)}(node_memory_SwapFree_bytes)) / 1048576`,
          "Mio",
        ),
        panel(
          "Disque libre",
          `100 * min${by(facts, "mountpoint")}(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|vfat|fuse.*"} / node_filesystem_size_bytes)`,
          "%",
        ),
        panel(
          "Disque, lectures et écritures",
          `sum${by(facts, "device")}(rate(node_disk_read_bytes_total[5m]) + rate(node_disk_written_bytes_total[5m])) / 1048576`,
          "Mio/s",
        ),
        panel(
          "Réseau",
          `sum${by(facts, "device")}(rate(node_network_receive_bytes_total{device!~"lo|veth.*"}[5m]) + rate(node_network_transmit_bytes_total[5m])) / 1048576`,
          "Mio/s",
        ),
        panel(
          "Erreurs du réseau",
          `sum${by(facts, "device")}(rate(node_network_receive_errs_total[5m]) + rate(node_network_transmit_errs_total[5m]))`,
        ),
      ],
    },
    {
      title: "Registres",
      panels: [
        panel(
          "Âge de la dernière sauvegarde",
          "(time() - max(technicia_backup_last_success_timestamp_seconds)) / 3600",
          "h",
        ),
        panel(
          "Âge du dernier exercice",
          "(time() - max(technicia_drill_last_success_timestamp_seconds)) / 86400",
          "jours",
        ),
        panel("Écarts avec la déclaration", "max(technicia_drift_findings)"),
        panel("Correctifs en attente", [
          `max${by(facts)}(technicia_patches_pending)`,
          `max${by(facts)}(technicia_patches_security)`,
        ]),
      ],
    },
    {
      title: "Surveillance",
      panels: [
        panel(
          "Mémoire de la surveillance",
          'max by (job) (process_resident_memory_bytes{job=~"metrics|logs|metric-rules|log-rules|alerts|probes"}) / 1048576',
          "Mio",
        ),
        panel("Tour du collecteur", `max${by(facts)}(technicia_collector_seconds)`, "s"),
        panel(
          "Taille des mesures et des journaux",
          'sum by (job) ({__name__=~"vm_data_size_bytes|vl_data_size_bytes"}) / 1048576',
          "Mio",
        ),
        panel("Envois et échecs d'envois", [
          "sum by (integration) (alertmanager_notifications_total)",
          "sum by (integration) (alertmanager_notifications_failed_total)",
        ]),
      ],
    },
  ],
});

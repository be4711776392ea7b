/** The programs of the monitoring: how each is started, what it may reach, and where its files are. */
import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";

import { WEBHOOK_SECRETS } from "../../common/alert-webhooks.ts";
import { MONITORING_PORTS, SERVER_LABEL } from "../../common/monitoring.ts";
import type { MonitoringService } from "../../common/services.ts";
import { ACCESS_SOCKET } from "../gateway-monitoring.ts";
import type { Mount, SecretFile, ServiceArgs } from "../service.ts";
import { CONFIG_FOLDER, SECRET_FILES } from "./facts.ts";

/** Folder of the monitoring on the host. */
export const FOLDER = "/opt/technicia/monitoring";

/** Folder of one program's files on the host. */
export const folderOf = (alias: string) => `${FOLDER}/${alias}`;

/** What decides how the programs run. */
export interface ProgramSettings {
  readonly stack: string;
  /** Of the times in messages. */
  readonly timeZone: string;
  readonly scrapeSeconds: number;
  readonly metricsDays: number;
  readonly logsDays: number;
  readonly logsMaxGib: number;
  readonly minFreeGib: number;
  readonly memoryMib: Readonly<Record<MonitoringService, number>>;

  /** Name of the server of the programs, of several. @default - there is one, and nothing is named by it */
  readonly server?: string | undefined;

  /** Whether visitors arrive there, so that its gateway's lines come over a socket. */
  readonly hasGateway: boolean;
}

export interface ProgramNetworks {
  /** Of the programs alone. */
  readonly inside: docker.Network;
  /** To the internet. */
  readonly outside: docker.Network;
  readonly edge: docker.Network;
  readonly app: docker.Network;
  readonly data: docker.Network;
}

/** Secrets by the name of their file under `/run/secrets`; one that no setting asks for is undefined. */
export type ProgramSecrets = Readonly<Record<keyof typeof SECRET_FILES, pulumi.Input<string> | undefined>>;

export interface Program extends Pick<
  ServiceArgs,
  "health" | "command" | "args" | "environment" | "mounts" | "runsAs" | "ownsData" | "secrets"
> {
  /** Networks besides that of the programs. */
  readonly others: readonly Exclude<keyof ProgramNetworks, "inside">[];

  /** Volume with its data. @default - it keeps none */
  readonly volume?: string;
}

/** Nobody of the images, who owns nothing in them. */
const NOBODY = 65_534;

/** Half of a hard limit is for what the stores keep in memory on purpose; the rest is for the work. */
const cacheOf = (memoryMib: number) => `-memory.allowedBytes=${Math.floor(memoryMib / 2)}MiB`;

const healthy = (port: number, path: string) => [
  "CMD-SHELL",
  `wget -q -O /dev/null http://127.0.0.1:${port}${path}`,
];

/** The authorities that the host trusts, the team's own included. */
const AUTHORITIES: Mount = {
  type: "bind",
  source: "/etc/ssl/certs",
  target: "/etc/ssl/certs",
  readOnly: true,
};

/** Its image has no time zones. */
const TIME_ZONES: Mount = {
  type: "bind",
  source: "/usr/share/zoneinfo",
  target: "/usr/share/zoneinfo",
  readOnly: true,
};

/** How each program runs. The stores run as root without any capability: their images have no folder that another user could write to. */
export function describePrograms(
  settings: ProgramSettings,
  secrets: ProgramSecrets,
): Readonly<Record<MonitoringService, Program>> {
  return {
    metrics: metrics(settings, secrets),
    logs: logs(settings),
    metricRules: rules(settings, { datasource: "metrics", kind: "prometheus" }),
    logRules: rules(settings, { datasource: "logs", kind: "vlogs" }),
    alerts: {
      others: ["outside"],
      volume: "technicia-alerts-data",
      runsAs: NOBODY,
      ownsData: true,
      args: [
        `--config.file=${CONFIG_FOLDER}/alertmanager.yml`,
        "--storage.path=/alertmanager",
        `--web.listen-address=:${MONITORING_PORTS.alerts}`,
        // It is alone: no port for others of its kind.
        "--cluster.listen-address=",
        // Lost signs of life are told apart from messages to people.
        "--enable-feature=receiver-name-in-metrics",
        // A week is judged by what was planned in it, and the page shows 30 days: ended silences are kept as long as metrics.
        `--data.retention=${settings.metricsDays * 24}h`,
        // A killed Alertmanager forgets what it has not saved: who takes care of a fault, and who was told of it. Its default is 15 minutes.
        "--data.maintenance-interval=10s",
      ],
      environment: { TZ: settings.timeZone },
      mounts: [
        { type: "volume", source: "technicia-alerts-data", target: "/alertmanager" },
        AUTHORITIES,
        TIME_ZONES,
      ],
      health: healthy(MONITORING_PORTS.alerts, "/-/ready"),
      secrets: secretFiles(secrets, [
        "smtpPassword",
        "slackUrl",
        ...WEBHOOK_SECRETS,
        "pingUrl",
        "neighbourToken",
      ]),
    },
    probes: {
      others: ["outside", "edge", "app", "data"],
      runsAs: NOBODY,
      args: [
        `--config.file=${CONFIG_FOLDER}/blackbox.yml`,
        `--web.listen-address=:${MONITORING_PORTS.probes}`,
        // Each probe that succeeds would be seven lines.
        "--log.level=warn",
      ],
      mounts: [AUTHORITIES],
      health: healthy(MONITORING_PORTS.probes, "/-/healthy"),
    },
  };
}

function metrics({ metricsDays, minFreeGib, memoryMib }: ProgramSettings, secrets: ProgramSecrets): Program {
  return {
    // n8n is on no network with Qdrant, unless PostgreSQL is there.
    others: ["edge", "data"],
    volume: "technicia-metrics-data",
    ownsData: true,
    args: [
      "-storageDataPath=/victoria-metrics-data",
      `-httpListenAddr=:${MONITORING_PORTS.metrics}`,
      `-promscrape.config=${CONFIG_FOLDER}/scrape.yml`,
      `-retentionPeriod=${metricsDays}d`,
      cacheOf(memoryMib.metrics),
      `-storage.minFreeDiskSpaceBytes=${minFreeGib}GiB`,
      // By default it hides the newest half minute, and every alert would be that late.
      "-search.latencyOffset=1s",
      `-vmui.customDashboardsPath=${CONFIG_FOLDER}/dashboards`,
      `-vmalert.proxyURL=http://metric-rules:${MONITORING_PORTS["metric-rules"]}`,
    ],
    mounts: [
      { type: "volume", source: "technicia-metrics-data", target: "/victoria-metrics-data" },
      // Read from a disk, the caches fill whole blocks of memory: after each restart it would take twice as much, beyond what its alert allows.
      { type: "tmpfs", target: "/victoria-metrics-data/cache" },
    ],
    health: healthy(MONITORING_PORTS.metrics, "/health"),
    secrets: secretFiles(secrets, ["qdrantApiKey"]),
  };
}

function logs({ logsDays, logsMaxGib, minFreeGib, memoryMib, server, hasGateway }: ProgramSettings): Program {
  const socket = `${ACCESS_SOCKET.container}/${ACCESS_SOCKET.file}`;
  const ofServer = server === undefined ? [] : [SERVER_LABEL];
  const listening = [
    `-syslog.listenAddr.unix=unixgram:${socket}`,
    // nginx's own has whole seconds.
    "-syslog.useLocalTimestamp.unix=true",
    `-syslog.streamFields.unix=${JSON.stringify(["app_name", ...ofServer])}`,
    // The other gateways' lines come through the intake, which names their servers.
    ...(server === undefined
      ? []
      : [`-syslog.extraFields.unix=${JSON.stringify({ [SERVER_LABEL]: server })}`]),
  ];
  return {
    others: [],
    volume: "technicia-logs-data",
    ownsData: true,
    // It does not start while the socket of a run before is there, and nginx's group must be able to write to the new one.
    command: ["/bin/sh", "-c", `rm -f ${socket}; umask 007; exec /victoria-logs-prod "$@"`, "victoria-logs"],
    args: [
      "-storageDataPath=/victoria-logs-data",
      `-httpListenAddr=:${MONITORING_PORTS.logs}`,
      `-retentionPeriod=${logsDays}d`,
      `-retention.maxDiskSpaceUsageBytes=${logsMaxGib}GiB`,
      `-storage.minFreeDiskSpaceBytes=${minFreeGib}GiB`,
      cacheOf(memoryMib.logs),
      ...(hasGateway ? listening : []),
      `-journald.streamFields=${["_SYSTEMD_UNIT", "CONTAINER_TAG", ...ofServer].join(",")}`,
    ],
    mounts: [
      { type: "volume", source: "technicia-logs-data", target: "/victoria-logs-data" },
      // The folder is made with a gateway.
      ...(hasGateway
        ? [{ type: "bind" as const, source: ACCESS_SOCKET.host, target: ACCESS_SOCKET.container }]
        : []),
    ],
    health: healthy(MONITORING_PORTS.logs, "/health"),
  };
}

function rules(
  { stack, scrapeSeconds }: ProgramSettings,
  { datasource, kind }: { readonly datasource: "metrics" | "logs"; readonly kind: "prometheus" | "vlogs" },
): Program {
  const store = `http://metrics:${MONITORING_PORTS.metrics}`;
  return {
    others: [],
    runsAs: NOBODY,
    args: [
      `-rule=${CONFIG_FOLDER}/rules.yml`,
      `-rule.defaultRuleType=${kind}`,
      `-datasource.url=http://${datasource}:${MONITORING_PORTS[datasource]}`,
      // How long an alert has been pending outlives a restart.
      `-remoteWrite.url=${store}`,
      `-remoteRead.url=${store}`,
      `-notifier.url=http://alerts:${MONITORING_PORTS.alerts}`,
      `-httpListenAddr=:${MONITORING_PORTS["metric-rules"]}`,
      `-evaluationInterval=${scrapeSeconds}s`,
      // By default half a minute, and every alert would be that late.
      "-rule.evalDelay=1s",
      `-external.label=stack=${stack}`,
    ],
    health: healthy(MONITORING_PORTS["metric-rules"], "/health"),
  };
}

function secretFiles(secrets: ProgramSecrets, names: readonly (keyof ProgramSecrets)[]): SecretFile[] {
  return names.flatMap((name) => {
    const value = secrets[name];
    return value === undefined ? [] : [{ value, file: SECRET_FILES[name].replace("/run/secrets/", "") }];
  });
}

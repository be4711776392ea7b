/** What the texts of the monitoring are rendered from, and where its programs find each other. Plain data. */
import type { WebhookFormat, WebhookSecret } from "../../common/alert-webhooks.ts";
import type { Thresholds } from "./thresholds.ts";

/** Secrets as files in the container that reads them; only those that a setting asks for exist. */
export const SECRET_FILES = {
  /** Alertmanager: `smtp_auth_password_file`. */
  smtpPassword: "/run/secrets/smtp_password",
  /** Alertmanager: `api_url_file` of Slack. */
  slackUrl: "/run/secrets/slack_url",
  /** Alertmanager: `url_file` of a webhook. */
  pagerUrl: "/run/secrets/pager_url",
  smsUrl: "/run/secrets/sms_url",
  webhookUrl: "/run/secrets/webhook_url",
  /** Alertmanager: `routing_key_file` of PagerDuty. */
  pagerDutyKey: "/run/secrets/pager_duty_key",
  /** Alertmanager: `url_file` of a webhook. */
  pingUrl: "/run/secrets/ping_url",
  /** Alertmanager: `http_config.authorization.credentials_file`, sent to `<neighbour>/deadman/<stack>`. */
  neighbourToken: "/run/secrets/neighbour_token",
  /** VictoriaMetrics: `authorization.credentials_file` of Qdrant's scrape. */
  qdrantApiKey: "/run/secrets/qdrant_api_key",
} as const;

/** Alertmanager's receiver of the signs of life. */
export const DEADMAN = "deadman";

/** What the names of Alertmanager's receivers of announcements begin with. */
export const ANNOUNCEMENTS = "announcements-";

/** Folder of each program's files, as its container sees it. */
export const CONFIG_FOLDER = "/etc/monitoring";

/** Templates of Alertmanager's messages, as its container sees them. */
export const MESSAGES_FILE = `${CONFIG_FOLDER}/messages.tmpl`;

/** An address that gets the levels that it asks for. */
export interface Webhook {
  /** Of its receiver. */
  readonly name: string;
  readonly format: WebhookFormat;
  readonly secret: WebhookSecret;
  readonly levels: readonly ("P1" | "P2" | "P3" | "N1" | "N2" | "N3" | "N4")[];
}

export interface MonitoringFacts {
  /** Name of the environment: test, staging, prod. */
  readonly stack: string;

  /** Public host name. */
  readonly domain: string;

  /** `https://<domain>`, without a slash at the end. */
  readonly publicUrl: string;

  /** Each of several servers and its address in the tunnel, that of the monitoring first; empty where there is only one. */
  readonly servers: readonly { readonly server: string; readonly address: string }[];

  /** Gateways beside the one that orders the certificate, which each present a copy of it: their servers, and the addresses of these in the tunnel. */
  readonly otherGateways: readonly { readonly server: string; readonly address: string }[];

  /** Name of n8n's editor, where it is public. */
  readonly editorDomain: string | undefined;

  /** Whether browsers, and so probes, trust the certificate authority of this environment. */
  readonly trusted: boolean;

  /** Aliases of all services that run here, the monitoring's own included: `vector-store`, `metrics`. */
  readonly services: readonly string[];

  /** Kind of n8n's database. */
  readonly database: "sqlite" | "postgres";

  readonly thresholds: Thresholds;

  /** Interval of the collector, of the scrapes and of the metric rules, in seconds. */
  readonly scrapeSeconds: number;

  /** Memory and free space as the settings bound them. */
  readonly minFreeGib: number;

  /** Undefined: nobody gets mail. The password is `SECRET_FILES.smtpPassword` where there is a `user`. */
  readonly mail:
    | {
        readonly host: string;
        readonly port: number;
        readonly from: string;
        readonly user: string | undefined;
        readonly startTls: boolean;
      }
    | undefined;

  readonly receivers: {
    readonly team: { readonly emails: readonly string[] };
    readonly slack: boolean;
    readonly webhooks: readonly Webhook[];
  };

  /** Levels in order of time; `ladderOf` says who is told at each. */
  readonly escalation: readonly {
    readonly level: "N1" | "N2" | "N3" | "N4";
    readonly afterMinutes: number;
    readonly emails: readonly string[];
  }[];

  /** Environments that are probed from here, and that are told every minute that this one lives. */
  readonly neighbours: readonly {
    readonly stack: string;
    /** `https://<domain>`, without a slash at the end. */
    readonly url: string;
    /** Whether browsers trust its certificate authority. */
    readonly trusted: boolean;
  }[];

  /** Whether `SECRET_FILES.pingUrl` is asked every minute. */
  readonly ping: boolean;

  /** Whether Qdrant demands a key, which is then `SECRET_FILES.qdrantApiKey`. */
  readonly qdrantApiKey: boolean;

  /** Undefined without backups. */
  readonly backup:
    | { readonly hours: number; readonly maxAgeHours: number; readonly drillDays: number | undefined }
    | undefined;

  /** Public paths that take uploads: in no rule about latency but their own. */
  readonly uploadRoutes: readonly string[];

  /** Public paths that ask a language model: in no rule about latency but their own. */
  readonly languageModelRoutes: readonly string[];

  /** Longest answer that is allowed, in seconds, by the gateway's settings. */
  readonly uploadSeconds: number;
  readonly answerSeconds: number;
}

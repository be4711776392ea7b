import { stringify } from "yaml";

import { AFTERMATH } from "../../common/planned-alerts.ts";
import { announcementChannels, isMailed, ladderOf, receiversOf, SEVERITIES } from "./audiences.ts";
import {
  ANNOUNCEMENTS,
  DEADMAN,
  MESSAGES_FILE,
  type MonitoringFacts,
  SECRET_FILES,
  type Webhook,
} from "./facts.ts";
import { inhibitionsFor, SYMPTOMS } from "./inhibitions.ts";
import { HEADER, type Severity } from "./rules/rule.ts";

/** Gets what nobody is to be told. */
const NOBODY = "nobody";

/** One route: who is told, and when. */
interface Route {
  readonly receiver: string;
  readonly matchers?: readonly string[];
  readonly group_by?: readonly string[];
  readonly group_wait?: string;
  readonly group_interval?: string;
  readonly repeat_interval?: string;
  readonly continue?: boolean;
  readonly routes?: readonly Route[];
}

/** How long a level waits for others of its kind, before the first message and before another. */
const TIMINGS: Readonly<Record<Severity, Pick<Route, "group_wait" | "group_interval" | "repeat_interval">>> =
  {
    P1: { group_wait: "5s", group_interval: "30s", repeat_interval: "1h" },
    P2: { group_wait: "15s", group_interval: "1m", repeat_interval: "6h" },
    P3: { group_wait: "30s", group_interval: "1m", repeat_interval: "24h" },
    info: { group_wait: "5s", group_interval: "1m", repeat_interval: "24h" },
  };

/** Limit of a probe, the wait of a P1, and the way to Alertmanager. */
const ARRIVAL_SECONDS = 20;

/**
 * How long a message waits whose fault a dead service may explain: longer than it takes until that service's own alert is here and holds it back.
 * A rollback does not wait for messages.
 */
export const settleSeconds = ({ thresholds, scrapeSeconds }: MonitoringFacts): number =>
  (thresholds.health.consecutiveFailures + 2) * scrapeSeconds + ARRIVAL_SECONDS;

/** Alertmanager's configuration. */
export function renderAlertmanager(facts: MonitoringFacts): string {
  const config = {
    ...(facts.mail ? { global: renderMail(facts.mail, facts.domain) } : {}),
    templates: [MESSAGES_FILE],
    route: renderRoutes(facts),
    inhibit_rules: inhibitionsFor(facts),
    receivers: renderReceivers(facts),
  };
  return HEADER + stringify(config, { lineWidth: 0, aliasDuplicateObjects: false });
}

function renderMail(mail: NonNullable<MonitoringFacts["mail"]>, domain: string) {
  return {
    smtp_smarthost: `${mail.host}:${mail.port}`,
    smtp_from: `TechnicIA <${mail.from}>`,
    smtp_hello: domain,
    smtp_require_tls: mail.startTls,
    ...(mail.user === undefined
      ? {}
      : { smtp_auth_username: mail.user, smtp_auth_password_file: SECRET_FILES.smtpPassword }),
  };
}

function renderRoutes(facts: MonitoringFacts): Route {
  return {
    receiver: isMailed(facts) ? "team" : NOBODY,
    group_by: ["alertname"],
    ...TIMINGS.P2,
    routes: [
      {
        matchers: ['alertname="Watchdog"'],
        receiver: hasDeadman(facts) ? DEADMAN : NOBODY,
        group_wait: "0s",
        group_interval: "1m",
        // A repetition is due at the end of a group's interval: one as long as that would come a minute late.
        repeat_interval: "55s",
      },
      { matchers: [`alertname="${AFTERMATH}"`], receiver: NOBODY },
      {
        matchers: ['alertname="Escalation"'],
        receiver: NOBODY,
        group_by: ["id", "level"],
        ...TIMINGS.P1,
        routes: ladderOf(facts).map(({ level, receivers }) => ({
          matchers: [`level="${level}"`],
          receiver: NOBODY,
          routes: receivers.map((receiver) => ({ receiver, continue: true })),
        })),
      },
      {
        matchers: ['alertname="Announcement"'],
        receiver: NOBODY,
        // A message each, at once: what happens next is another one.
        group_by: ["id"],
        ...TIMINGS.info,
        group_wait: "0s",
        routes: announcementChannels(facts).map((channel) => ({
          receiver: `${ANNOUNCEMENTS}${channel}`,
          continue: true,
        })),
      },
      ...SEVERITIES.flatMap((severity) => renderSeverity(severity, facts)),
    ],
  };
}

/** Every receiver of the severity has a group of its own, so that one that fails keeps none of the others waiting. */
function renderSeverity(severity: Severity, facts: MonitoringFacts): Route[] {
  const matchers = [`severity="${severity}"`];
  const usual: Route = {
    receiver: NOBODY,
    ...TIMINGS[severity],
    routes: receiversOf(severity, facts).map((receiver) => ({ receiver, continue: true })),
  };
  if (severity === "info") return [{ matchers, ...usual }];
  const symptoms = [...matchers, `alertname=~"${SYMPTOMS.join("|")}"`];
  return [
    { matchers: symptoms, ...usual, group_wait: `${settleSeconds(facts)}s` },
    { matchers, ...usual },
  ];
}

const hasDeadman = ({ neighbours, ping }: MonitoringFacts) => ping || neighbours.length > 0;

function renderReceivers(facts: MonitoringFacts) {
  const { receivers } = facts;
  const named = (name: string, kinds: object) => ({ name, ...kinds });
  return [
    named(NOBODY, {}),
    ...(isMailed(facts) ? [named("team", { email_configs: receivers.team.emails.map(renderEmail) })] : []),
    ...(receivers.slack ? [named("slack", { slack_configs: [SLACK] })] : []),
    ...receivers.webhooks.map((webhook) => named(webhook.name, renderWebhook(webhook, facts))),
    ...announcementChannels(facts).map((channel) =>
      named(`${ANNOUNCEMENTS}${channel}`, ANNOUNCING[channel](facts)),
    ),
    ...ladderOf(facts)
      .filter(({ emails }) => emails.length > 0)
      .map(({ level, emails }) => named(level, { email_configs: emails.map(renderEmail) })),
    ...(hasDeadman(facts) ? [named(DEADMAN, { webhook_configs: renderSigns(facts) })] : []),
  ];
}

const mailOf = (kind: "technicia" | "announcement", to: string) => ({
  to,
  send_resolved: kind === "technicia",
  headers: { Subject: `{{ template "${kind}.subject" . }}` },
  text: `{{ template "${kind}.text" . }}`,
  html: `{{ template "${kind}.html" . }}`,
});

const renderEmail = (to: string) => mailOf("technicia", to);

const slackOf = (kind: "technicia" | "announcement") => ({
  api_url_file: SECRET_FILES.slackUrl,
  send_resolved: kind === "technicia",
  // The address of the web interface, which nobody can open.
  title_link: "",
  title: `{{ template "${kind}.subject" . }}`,
  fallback: `{{ template "${kind}.subject" . }}`,
  text: `{{ template "${kind}.text" . }}`,
});

const SLACK = slackOf("technicia");

/** Nobody is told that an announcement is "resolved", which it is by itself soon. */
const ANNOUNCING = {
  team: ({ receivers }: MonitoringFacts) => ({
    email_configs: receivers.team.emails.map((to) => mailOf("announcement", to)),
  }),
  slack: () => ({ slack_configs: [slackOf("announcement")] }),
};

/** PagerDuty's Events API v2, by the region of the account. */
const PAGER_DUTY = {
  pagerduty: "https://events.pagerduty.com/v2/enqueue",
  "pagerduty-eu": "https://events.eu.pagerduty.com/v2/enqueue",
} as const;

/** Severity → PagerDuty's word for it. */
const PAGER_DUTY_SEVERITY =
  '{{ with .CommonLabels.severity }}{{ if eq . "P1" }}critical{{ else if eq . "P2" }}error{{ else }}warning{{ end }}{{ else }}error{{ end }}';

function renderWebhook({ format, secret }: Webhook, { publicUrl }: MonitoringFacts): object {
  // Alertmanager's own JSON, with every alert's labels and annotations.
  if (format === "json")
    return { webhook_configs: [{ url_file: SECRET_FILES[secret], send_resolved: true }] };
  const event = {
    url: PAGER_DUTY[format],
    routing_key_file: SECRET_FILES[secret],
    send_resolved: true,
    description: '{{ template "technicia.subject" . }}',
    severity: PAGER_DUTY_SEVERITY,
    client: "TechnicIA",
    client_url: publicUrl,
    // The first two replace Alertmanager's own, which are the same in English.
    details: { firing: "", resolved: "", message: '{{ template "technicia.text" . }}' },
  };
  return { pagerduty_configs: [event] };
}

/** The signs of life: only their absence means something. */
function renderSigns({ neighbours, ping, stack }: MonitoringFacts) {
  return [
    ...neighbours.map(({ url, trusted }) => ({
      url: `${url}/deadman/${stack}`,
      send_resolved: false,
      http_config: {
        authorization: { type: "Bearer", credentials_file: SECRET_FILES.neighbourToken },
        follow_redirects: false,
        ...(trusted ? {} : { tls_config: { insecure_skip_verify: true } }),
      },
    })),
    ...(ping ? [{ url_file: SECRET_FILES.pingUrl, send_resolved: false }] : []),
  ];
}

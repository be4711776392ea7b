/** The secrets of the monitoring; each is needed only while its setting asks for it. */
import type { WebhookSecret } from "../common/alert-webhooks.ts";
import type { Condition, SecretEntry, SecretsContext } from "./entry.ts";

const whenMonitored = (
  words: string,
  holds: (monitoring: SecretsContext["monitoring"]) => boolean,
): Condition => ({
  words: `\`monitoring.enabled\` is true and ${words}`,
  holds: ({ monitoring }) => monitoring.enabled && holds(monitoring),
});
const webhook = {
  services: ["Monitoring"],
  readers: ["alerts"],
  givenBy: "user",
  minimumLength: 12,
  form: {
    expected: "expected an address that begins with https:// or http://",
    test: (value: string) => /^https?:\/\/[^/\s]+/.test(value),
  },
} as const;

/** A webhook of `monitoring.receivers.webhooks`, which names its secret. */
const ofWebhook = (name: WebhookSecret) =>
  ({
    ...webhook,
    neededFor: {
      Monitoring: whenMonitored("an entry of `monitoring.receivers.webhooks` names it", ({ receivers }) =>
        receivers.webhooks.some(({ secret }) => secret === name),
      ),
    },
  }) as const;

export const monitoringSecrets = {
  smtpPassword: {
    description: "Password of the account `monitoring.mail.user` at the mail server",
    services: ["Monitoring"],
    readers: ["alerts"],
    givenBy: "user",
    characters: "visible",
    minimumLength: 8,
    neededFor: {
      Monitoring: whenMonitored("`monitoring.mail.user` is set", ({ mail }) => (mail?.user ?? "") !== ""),
    },
  },
  slackUrl: {
    ...webhook,
    description: "Address of Slack's incoming webhook, which alerts are sent to",
    neededFor: {
      Monitoring: whenMonitored("`monitoring.receivers.slack` is true", ({ receivers }) => receivers.slack),
    },
  },
  pagerUrl: { ...ofWebhook("pagerUrl"), description: "Address of a pager's webhook" },
  smsUrl: { ...ofWebhook("smsUrl"), description: "Address of an SMS gateway's webhook" },
  webhookUrl: {
    ...ofWebhook("webhookUrl"),
    description: "Address of another webhook that alerts are sent to",
  },
  pagerDutyKey: {
    ...ofWebhook("pagerDutyKey"),
    description: "Integration key of a service at PagerDuty, of its Events API v2",
    minimumLength: 32,
    form: {
      expected: "expected the 32 letters and digits of an integration key",
      test: (value) => /^[0-9A-Za-z]{32}$/.test(value),
    },
  },
  pingUrl: {
    ...webhook,
    description: "Address that is asked every minute, and whose owner notices when it is not",
    neededFor: { Monitoring: whenMonitored("`monitoring.ping` is true", ({ ping }) => ping) },
  },
  neighbourToken: {
    description:
      "Token with which environments tell each other that they live; the same in all of them, for example of openssl rand -hex 32",
    services: ["Monitoring"],
    readers: ["alerts", "gateway"],
    givenBy: "user",
    minimumLength: 32,
    // nginx compares it as a regular expression.
    form: {
      expected: "expected 32 to 128 letters, digits, - and _",
      test: (value) => /^[0-9A-Za-z_-]{32,128}$/.test(value),
    },
    neededFor: {
      Monitoring: whenMonitored(
        "`monitoring.neighbours` has an entry",
        ({ neighbours }) => neighbours.length > 0,
      ),
    },
  },
} as const satisfies Readonly<Record<string, SecretEntry>>;

/** Webhooks that alerts are sent to: the secrets that a setting may name, and what each format sends. */

/** Secrets that are addresses: whoever knows one may post there. */
const ADDRESSES = ["pagerUrl", "smsUrl", "webhookUrl"] as const;

/** Secrets that are integration keys of PagerDuty. */
const PAGER_DUTY_KEYS = ["pagerDutyKey"] as const;

export const WEBHOOK_SECRETS = [...ADDRESSES, ...PAGER_DUTY_KEYS] as const;
export type WebhookSecret = (typeof WEBHOOK_SECRETS)[number];

/** Format → the secrets that it can be of. `json` is Alertmanager's own body; the others are PagerDuty's Events API v2, in the USA and in Europe. */
export const WEBHOOK_FORMATS = {
  json: ADDRESSES,
  pagerduty: PAGER_DUTY_KEYS,
  "pagerduty-eu": PAGER_DUTY_KEYS,
} as const satisfies Readonly<Record<string, readonly WebhookSecret[]>>;
export type WebhookFormat = keyof typeof WEBHOOK_FORMATS;

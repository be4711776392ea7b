/** Who takes webhooks in the rehearsal's internet: Slack, a gateway that sends text messages, and PagerDuty. */
import { randomBytes } from "node:crypto";

import { INTERNET } from "./addresses.ts";

const SLACK = "hooks.slack.com";
const PAGER = "passerelle.sms.example";
const PAGER_DUTY = "events.eu.pagerduty.com";

/** Their host names. */
export const WEBHOOK_HOSTS: readonly string[] = [SLACK, PAGER, PAGER_DUTY];

/** Where tests read what arrived, and set faults: `/calls?api=webhooks` and `/faults`. */
export const WEBHOOKS_API = `http://${INTERNET.clouds}:8090`;

/** Addresses and keys as a user gets them: whoever knows one may post there. */
export function createWebhooks(): {
  readonly slackUrl: string;
  readonly pagerUrl: string;
  readonly pagerDutyKey: string;
} {
  const digits = (bytes: number): string => randomBytes(bytes).toString("hex").toUpperCase();
  return {
    slackUrl: `https://${SLACK}/services/T${digits(5)}/B${digits(5)}/${randomBytes(12).toString("hex")}`,
    pagerUrl: `https://${PAGER}/alertes/${randomBytes(16).toString("hex")}`,
    pagerDutyKey: randomBytes(16).toString("hex"),
  };
}

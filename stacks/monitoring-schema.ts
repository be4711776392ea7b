/** The settings of the monitoring: what is kept, who is told, and what is watched from outside. */
import { z } from "zod";

import { WEBHOOK_FORMATS, WEBHOOK_SECRETS, type WebhookFormat } from "../common/alert-webhooks.ts";
import {
  choice,
  emailAddress,
  flag,
  hostName,
  integer,
  isServiceAddress,
  limits,
  list,
  map,
  optionalMap,
  text,
  whole,
} from "./setting-types.ts";
import { thresholds } from "./thresholds-schema.ts";

/** Levels of the escalation, in the order in which they are told. */
export const ESCALATION_LEVELS = ["N1", "N2", "N3", "N4"] as const;

/** What a webhook may ask for. */
const WEBHOOK_LEVELS = ["P1", "P2", "P3", ...ESCALATION_LEVELS] as const;

const emails = () => list(emailAddress).default([]);

/** Limits of a program of the monitoring; every environment has them without setting any. */
export const monitoringLimits = (memoryMib: number, cpus: number) => {
  const { memoryMib: memory, cpus: cores } = limits(memoryMib, cpus);
  return map({ memoryMib: memory.prefault(memoryMib), cpus: cores.prefault(cpus) });
};

const mail = optionalMap({
  host: hostName("smtp.exemple.fr").meta({ description: "Mail server.", example: "smtp.exemple.fr" }),
  port: integer("expected a port from 1 to 65535", { least: 1, most: 65_535 })
    .prefault(587)
    .meta({ description: "Its port.", example: 587 }),
  from: emailAddress.meta({ description: "Sender of the messages.", example: "alertes@exemple.fr" }),
  user: text("expected the name of an account, without spaces", /^[^\s]{1,254}$/)
    .default("")
    .meta({
      description:
        "Account at the mail server, whose password is the secret `smtpPassword`; left out, it asks for none.",
      example: "alertes@exemple.fr",
    }),
  startTls: flag().prefault(true).meta({
    description: "Whether the connection must be encrypted before anything is sent.",
    example: true,
  }),
})
  .meta({
    description: "The mail server that sends alerts; left out, nobody gets mail.",
    example: { host: "smtp.exemple.fr", from: "alertes@exemple.fr" },
  })
  .optional();

/** Receivers of Alertmanager that have these names already. */
const isFree = (name: string) => !/^(team|slack|nobody|deadman|announcements-.*)$/.test(name);

const webhooks = list(
  optionalMap({
    name: text(
      "expected a name of small letters, digits and -, other than team, slack, nobody and deadman",
      (name) => /^[a-z][a-z0-9-]{0,30}$/.test(name) && isFree(name),
    ).meta({ description: "Its name in routes, tests and records.", example: "astreinte" }),
    secret: choice(WEBHOOK_SECRETS).meta({
      description: "Secret with its address, or for PagerDuty with the key of the integration.",
      example: "pagerDutyKey",
    }),
    format: choice(Object.keys(WEBHOOK_FORMATS) as [WebhookFormat, ...WebhookFormat[]])
      .prefault("json")
      .meta({
        description:
          "What is sent: `json` is Alertmanager's own body, which SMS gateways turn into a message; `pagerduty` and `pagerduty-eu` are PagerDuty's Events API v2, by the region of the account.",
        example: "pagerduty-eu",
      }),
    levels: list(choice(WEBHOOK_LEVELS))
      .min(1, { error: "expected at least one level, such as P1" })
      .default(["P1"])
      .meta({
        description:
          "What it gets: severities of alerts (P1, P2, P3) and levels of the escalation (N1 to N4).",
        example: ["P1", "N2"],
      }),
  }),
)
  .default([])
  .meta({
    description: "Other addresses that are told, such as PagerDuty's or an SMS gateway's.",
    example: [{ name: "astreinte", secret: "pagerDutyKey", format: "pagerduty-eu", levels: ["P1"] }],
  });

const receivers = map({
  team: map({
    emails: list(emailAddress)
      .default([])
      .meta({
        description: "Addresses that get P1 and P2; left out, it is `adminEmail`.",
        example: ["equipe@exemple.fr"],
      }),
  }),
  slack: flag().prefault(false).meta({
    description: "Whether alerts go to Slack, at the address in the secret `slackUrl`.",
    example: true,
  }),
  webhooks,
}).meta({ description: "Who is told of alerts." });

const escalation = list(
  optionalMap({
    level: choice(ESCALATION_LEVELS).meta({ description: "Level.", example: "N2" }),
    afterMinutes: whole("minutes", { least: 1, most: 1440 }).meta({
      description: "Minutes that a P1 lasts without acknowledgement before this level is told.",
      example: 15,
    }),
    emails: emails().meta({
      description:
        "Addresses that are told; a level without any, and without a webhook that asks for it, is skipped. Where that leaves no level, each is told to Slack and to the webhooks that get P1.",
      example: ["astreinte@exemple.fr"],
    }),
  }),
)
  .prefault([
    { level: "N1", afterMinutes: 5 },
    { level: "N2", afterMinutes: 15 },
    { level: "N3", afterMinutes: 30 },
    { level: "N4", afterMinutes: 60 },
  ])
  .meta({
    description: "Who is told next while nobody acknowledges a P1.",
    example: [{ level: "N2", afterMinutes: 15, emails: ["astreinte@exemple.fr"] }],
  });

const neighbours = list(
  optionalMap({
    stack: text("expected the name of a stack, such as staging", /^[a-z0-9][a-z0-9-]{0,30}$/).meta({
      description: "Name of the other environment.",
      example: "staging",
    }),
    url: text(
      "expected the address of an environment (https://…) without a path",
      (address) => isServiceAddress(address) && /^https:\/\/[^\s/?#@]+$/.test(address),
    ).meta({ description: "Its public address.", example: "https://staging.exemple.fr" }),
    trusted: flag().prefault(true).meta({
      description: "Whether browsers trust its certificate authority.",
      example: true,
    }),
  }),
)
  .default([])
  .meta({
    description:
      "Environments that are probed from here and told every minute that this one lives; each notices when another falls silent. The secret `neighbourToken` is the same in all of them.",
    example: [{ stack: "staging", url: "https://staging.exemple.fr" }],
  });

const publicPath = text("expected a path from /, such as /healthz", /^\/[^\s?#]*$/);

const observation = map({
  seconds: whole("seconds", { least: 0, most: 3600 }).prefault(0).meta({
    description: "How long a deployment is watched for alerts after it has been verified; 0: not at all.",
    example: 300,
  }),
  paths: list(publicPath)
    .default(["/healthz"])
    .meta({
      description: "Public paths that are asked once a second meanwhile; none that writes or asks a model.",
      example: ["/healthz"],
    }),
  once: list(
    optionalMap({
      method: choice(["GET", "POST"]).prefault("POST").meta({ description: "Method.", example: "POST" }),
      path: publicPath.meta({ description: "Public path.", example: "/api/question" }),
      body: text('expected JSON in quotes, such as \'{"question": "test"}\'', isJson).optional().meta({
        description: "What is sent, as JSON; left out, the request has no body.",
        example: '{"question": "test"}',
      }),
    }),
  )
    .default([])
    .meta({
      description:
        "Requests that are sent once at the start and once at the end, because they write or ask a language model; a release that fails one is not taken back, but counts as not judged. With `workflows.enabled` a question is one of them without being named.",
      example: [{ path: "/api/question", body: '{"question": "test"}' }],
    }),
}).meta({ description: "What is watched after a deployment.", affects: "deploy" });

function isJson(body: string): boolean {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

export const monitoring = map({
  enabled: flag().prefault(true).meta({
    description: "Whether this environment runs the monitoring: metrics, logs, alerts and probes.",
    example: false,
  }),
  scrapeSeconds: whole("seconds", { least: 5, most: 60 }).prefault(15).meta({
    description: "Seconds between two measurements, and between two evaluations of the rules about them.",
    example: 15,
  }),
  metricsDays: whole("days", { least: 2, most: 400 }).prefault(35).meta({
    description: "How long metrics are kept, in days; the availability of a month needs 31.",
    example: 35,
  }),
  logsDays: whole("days", { least: 1, most: 90 }).prefault(14).meta({
    description: "How long logs are kept, in days.",
    example: 14,
  }),
  logsMaxGib: whole("GiB", { least: 1, most: 100 }).prefault(2).meta({
    description: "Disk space of the logs above which the oldest go, in GiB.",
    example: 2,
  }),
  minFreeGib: whole("GiB", { least: 1, most: 100 }).prefault(2).meta({
    description: "Free disk space below which neither metrics nor logs are written, in GiB.",
    example: 2,
  }),
  mail,
  receivers,
  escalation,
  neighbours,
  ping: flag().prefault(false).meta({
    description:
      "Whether the address in the secret `pingUrl` is asked every minute; who watches it outside notices the silence.",
    example: true,
  }),
  observation,
  thresholds,
}).meta({
  description: "Metrics, logs, alerts, and who is told.",
  affects: "monitoring",
});

export type MonitoringSettings = z.output<typeof monitoring>;

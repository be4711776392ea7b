import type { MonitoringFacts } from "../../../components/monitoring/facts.ts";
import { alertThresholds, thresholds } from "../../../stacks/thresholds-schema.ts";

/** A webhook that gets P1. */
export const pager = { name: "pager", format: "json", secret: "pagerUrl", levels: ["P1"] } as const;

/** Three servers, the second of which is a gateway as well. */
export const SEVERAL = {
  servers: [
    { server: "gra-1", address: "10.86.1.1" },
    { server: "gra-2", address: "10.86.3.7" },
    { server: "sbg-1", address: "10.86.9.1" },
  ],
  otherGateways: [{ server: "gra-2", address: "10.86.3.7" }],
} as const;

/** An environment with everything that can be switched on, and the settings' own defaults. */
export function monitoringFacts(change: Partial<MonitoringFacts> = {}): MonitoringFacts {
  return {
    stack: "prod",
    domain: "technicia.exemple.fr",
    publicUrl: "https://technicia.exemple.fr",
    servers: [],
    otherGateways: [],
    editorDomain: "n8n.technicia.exemple.fr",
    trusted: true,
    services: [
      ...["qdrant", "vector-store", "n8n", "n8n-runners", "postgres", "gateway", "document-processor"],
      ...[
        "vision-classifier",
        "frontend",
        "metrics",
        "logs",
        "metric-rules",
        "log-rules",
        "alerts",
        "probes",
      ],
    ],
    database: "postgres",
    thresholds: alertThresholds(thresholds.parse(undefined)),
    scrapeSeconds: 15,
    minFreeGib: 2,
    mail: {
      host: "smtp.exemple.fr",
      port: 587,
      from: "alertes@exemple.fr",
      user: "alertes@exemple.fr",
      startTls: true,
    },
    receivers: { team: { emails: ["equipe@exemple.fr"] }, slack: true, webhooks: [pager] },
    escalation: [
      { level: "N1", afterMinutes: 5, emails: ["n1@exemple.fr"] },
      { level: "N2", afterMinutes: 15, emails: ["n2@exemple.fr"] },
      { level: "N3", afterMinutes: 30, emails: ["n3@exemple.fr"] },
      { level: "N4", afterMinutes: 60, emails: ["n4@exemple.fr"] },
    ],
    neighbours: [{ stack: "staging", url: "https://staging.exemple.fr", trusted: true }],
    ping: true,
    qdrantApiKey: true,
    backup: { hours: 1, maxAgeHours: 3, drillDays: 7 },
    uploadRoutes: ["/api/upload", "/webhook/upload"],
    languageModelRoutes: ["/api/question", "/webhook/question"],
    uploadSeconds: 600,
    answerSeconds: 120,
    ...change,
  };
}

import { createHash } from "node:crypto";

import { keysByService, secretNames, type SecretName } from "../../secrets/catalog.ts";
import type { DeploymentFacts } from "../../stacks/deployment-status.ts";
import type { Environment } from "../../stacks/environment.ts";
import { parseSettings, SettingsError } from "../../stacks/settings.ts";

/** Settings as a file holds them, valid or not. */
export type Settings = Record<string, unknown>;

/** Sets the setting at a dotted path; undefined removes it. */
export function change(settings: Settings, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  const map = keys.reduce<unknown>((inner, key) => (inner as Settings)[key], settings) as Settings;
  if (value === undefined) delete map[last];
  else map[last] = value;
}

/** A valid OpenSSH public key whose private half nobody has. */
export const publicKey =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f operator@example";

/** Complete and valid settings, a new object at each call; a test changes one thing. */
export function validSettings(): Settings {
  const limits = { memoryMib: 384, cpus: 1 };
  return {
    domain: "technicia.exemple.fr",
    adminEmail: "admin@exemple.fr",
    locale: { language: "fr", timeZone: "Europe/Paris" },
    server: {
      serviceName: "vps-1a2b3c4d.vps.ovh.net",
      vcores: 4,
      memoryGib: 8,
      datacentre: "GRA",
      image: "Debian 12",
      loginUser: "debian",
      ipv6: true,
      files: [],
      deleteAtExpiry: false,
    },
    ssh: {
      port: 22,
      privateKeyFile: "~/.ssh/id_ed25519",
      publicKey,
      adminCidrs: { v4: ["198.51.100.0/24"], v6: ["2001:db8:51::/64"] },
      admins: [{ name: "alice", keys: [publicKey] }],
    },
    ovh: { endpoint: "ovh-eu" },
    dns: {
      provider: "cloudflare",
      zone: "exemple.fr",
      zoneId: "0123456789abcdef0123456789abcdef",
      ttlSeconds: 300,
      caaIssuers: ["letsencrypt.org"],
    },
    host: { dockerSource: "distribution", swapGib: 4 },
    acme: { directory: "https://acme-v02.api.letsencrypt.org/directory", keyType: "ecdsa" },
    images: {
      qdrant: "qdrant/qdrant:v1.19.0-unprivileged",
      vectorStore: "technicia/vector-store:1.0.0",
      n8n: "n8nio/n8n:2.41.3",
      n8nRunners: "n8nio/runners:2.41.3",
      gateway: "nginx:1.30.4-alpine",
      certbot: "certbot/certbot:v5.8.0",
      restic: "restic/restic:0.19.1",
      postgres: "postgres:17.9-bookworm",
      documentProcessor: "technicia/document-processor:1.0.0",
      visionClassifier: "technicia/vision-classifier:1.0.0",
      frontend: "technicia/frontend:1.0.0",
      metrics: "victoriametrics/victoria-metrics:v1.151.0",
      logs: "victoriametrics/victoria-logs:v1.52.1",
      rules: "victoriametrics/vmalert:v1.151.0",
      alerts: "prom/alertmanager:v0.28.1",
      probes: "prom/blackbox-exporter:v0.26.0",
    },
    services: {
      qdrant: { memoryMib: 2048, cpus: 2, apiKey: true, otherCollections: [] },
      vectorStore: { ...limits },
      n8n: {
        memoryMib: 1280,
        cpus: 2,
        database: "sqlite",
        owner: { firstName: "Ada", lastName: "Lovelace" },
      },
      n8nRunners: { ...limits, enabled: true },
      postgres: { ...limits },
      gateway: { memoryMib: 96, cpus: 0.5, editorCidrs: [] },
      documentProcessor: {
        ...limits,
        enabled: true,
        project: "technicia-1234",
        location: "eu",
        processorId: "0123456789abcdef",
      },
      visionClassifier: { ...limits, enabled: true },
      frontend: { ...limits, enabled: true },
    },
    uploadMaxMib: 200,
    timeouts: { uploadSeconds: 600, answerSeconds: 120, convergenceSeconds: 300, observationSeconds: 10 },
    protectData: true,
    operations: {
      window: { days: ["tuesday", "wednesday", "thursday"], fromUtc: "09:00", toUtc: "12:00" },
      holidays: { country: "FR", extra: ["2027-04-06"] },
      freezes: [{ from: "2026-12-18", to: "2027-01-04", reason: "fêtes" }],
      dnsSettledHours: 24,
    },
  };
}

/** What is wrong with the settings of the stack test, one line each; none when they are right. */
export function problemsOf(settings: Settings): string[] {
  try {
    parseSettings("test", settings);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.message.split("\n  ").slice(1);
  }
  return [];
}

/** The environment of the valid settings, with other values at some dotted paths; undefined removes the setting. */
export function environmentWith(changes: Readonly<Record<string, unknown>> = {}): Environment {
  const settings = validSettings();
  for (const [path, value] of Object.entries(changes)) change(settings, path, value);
  return parseSettings("test", settings);
}

/** The facts of a complete deployment of that environment, with every key set and no evidence yet. */
export function deploymentFacts(): DeploymentFacts {
  return {
    server: {
      serviceName: "vps-1a2b3c4d.vps.ovh.net",
      model: "vps-2027-model2",
      vcores: 4,
      memoryMib: 8192,
      diskGib: 75,
      os: "Debian 12",
      place: "Region OpenStack: os-gra7",
      state: "running",
      ipv4: "203.0.113.10",
      ipv6: "2001:db8:113::10",
    },
    images: { n8n: "n8nio/n8n:2.41.3", gateway: "nginx:1.30.4-alpine" },
    keys: keysByService(environmentWith(), new Set(secretNames)),
    evidence: {},
  };
}

/** A strong value for every secret: all different, and the same at each call. */
export function strongSecrets(): Record<SecretName, string> {
  const keyFile = JSON.stringify({
    type: "service_account",
    project_id: "technicia-1234",
    private_key: `-----BEGIN PRIVATE KEY-----\n${digest("googleCredentials")}\n-----END PRIVATE KEY-----\n`,
    client_email: "technicia@technicia-1234.iam.gserviceaccount.com",
  });
  const forms: Partial<Record<SecretName, string>> = {
    ovhClientId: "EU.0a1b2c3d4e5f",
    voyageApiKey: `pa-${digest("voyageApiKey")}`,
    googleCredentials: keyFile,
    backupWriterKey: `writer0:${digest("backupWriterKey")}`,
    backupReaderKey: `reader0:${digest("backupReaderKey")}`,
    slackUrl: `https://hooks.exemple.fr/slack/${digest("slackUrl")}`,
    pagerDutyKey: digest("pagerDutyKey").slice(0, 32),
    smsUrl: `https://hooks.exemple.fr/sms/${digest("smsUrl")}`,
    webhookUrl: `https://hooks.exemple.fr/autre/${digest("webhookUrl")}`,
    pagerUrl: `https://hooks.exemple.fr/pager/${digest("pagerUrl")}`,
    pingUrl: `https://hooks.exemple.fr/ping/${digest("pingUrl")}`,
    n8nOwnerPassword: `Aa1-${digest("n8nOwnerPassword").slice(0, 20)}`,
  };
  return Object.fromEntries(secretNames.map((name) => [name, forms[name] ?? digest(name)])) as Record<
    SecretName,
    string
  >;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

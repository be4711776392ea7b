import type { SecretName } from "../../secrets/catalog.ts";
import { resolveSecrets } from "../../secrets/resolve.ts";
import type { Deployment } from "../../stacks/outputs.ts";
import { createCloud } from "../../stacks/cloud.ts";
import { defineTechnicia } from "../../stacks/technicia.ts";
import { readWorkflows } from "../../stacks/workflows/read.ts";
import { register, type Recording } from "./engine.ts";
import { environmentWith, strongSecrets } from "./fixtures.ts";

/** How a test changes the valid settings: values by path, and the secrets that are missing. */
export interface Variant {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly without?: readonly SecretName[];
}

const OAUTH: readonly SecretName[] = ["ovhClientId", "ovhClientSecret"];

/** Every service, and every choice that creates more resources. */
export const everything: Variant = {
  settings: {
    "services.n8n.database": "postgres",
    "services.gateway.editorCidrs": ["198.51.100.0/24"],
    "services.gateway.hold": { enabled: true },
    workflows: { enabled: true },
    "host.dockerSource": "docker",
    documents: { enabled: true },
    backup: { project: "0123456789abcdef0123456789abcdef", region: "RBX" },
    monitoring: {
      enabled: true,
      mail: { host: "smtp.exemple.fr", from: "alertes@exemple.fr", user: "alertes@exemple.fr" },
      receivers: { team: { emails: ["equipe@exemple.fr"] }, slack: true, pager: true },
      escalation: [
        { level: "N1", afterMinutes: 5, emails: ["n1@exemple.fr"] },
        { level: "N2", afterMinutes: 15, emails: ["n2@exemple.fr"] },
      ],
      neighbours: [{ stack: "prod", url: "https://prod.exemple.fr" }],
      ping: true,
    },
    "images.registry": "registry.exemple.fr/technicia",
    "images.registryUser": "technicia",
    "images.vectorStore": `registry.exemple.fr/technicia/vector-store:${"0".repeat(12)}@sha256:${"a".repeat(64)}`,
    "images.sources": {
      vectorStore: {
        repository: "https://github.com/exemple/technicia.git",
        commit: "0".repeat(40),
        folder: "services/vector-store",
      },
    },
  },
};

/** Only what every environment has; DNS at OVH, and a server that is ordered. */
export const least: Variant = {
  settings: {
    "services.n8nRunners.enabled": false,
    "services.documentProcessor.enabled": false,
    "services.visionClassifier.enabled": false,
    "services.frontend.enabled": false,
    "services.qdrant.apiKey": false,
    "dns.provider": "ovh",
    "dns.zoneId": undefined,
    "server.serviceName": undefined,
    "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    "ssh.admins": [],
    "host.swapGib": 0,
    monitoring: { enabled: false },
    protectData: false,
  },
  without: [...OAUTH, "googleCredentials", "n8nRunnersToken", "qdrantApiKey", "cloudflareApiToken"],
};

/** The secrets of a variant. */
export function secretsOf({ without = OAUTH }: Variant): [SecretName, string][] {
  const given = Object.entries(strongSecrets()) as [SecretName, string][];
  return given.filter(([name]) => !without.includes(name));
}

/** The valid settings as they are. */
export const usual: Variant = {};

const recordings = new Map<Variant, Partial<Record<"preview" | "update", Promise<Recording<Deployment>>>>>();

/** Registers the whole program for a variant, as an update or as the first preview; each only once. */
export function deploy(
  variant: Variant = usual,
  { preview = false }: { readonly preview?: boolean } = {},
): Promise<Recording<Deployment>> {
  const known = recordings.get(variant) ?? {};
  recordings.set(variant, known);
  return (known[preview ? "preview" : "update"] ??= registerProgram(variant, preview));
}

async function registerProgram(variant: Variant, preview: boolean): Promise<Recording<Deployment>> {
  const given = secretsOf(variant);
  const values = Object.fromEntries(given.map(([name, value]) => [`technicia:${name}`, value]));
  const environment = environmentWith(variant.settings);
  const content = await readWorkflows(environment, { inClear: () => Object.fromEntries(given) });
  return await register(
    () => {
      const secrets = resolveSecrets(environment);
      return defineTechnicia({ environment, secrets, cloud: createCloud(environment, secrets), content });
    },
    {
      preview,
      configuration: { values, encrypted: Object.keys(values) },
    },
  );
}

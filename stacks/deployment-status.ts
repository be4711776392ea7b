/**
 * The stack output `deploymentStatus`: its schema, and how it follows from facts.
 *
 * A step's status is never set by hand: it follows from evidence, which only an existing resource gives.
 * Names and status words are those of the user's document "Suivi de Déploiement TechnicIA MVP".
 */
import { z } from "zod";
import { LOOPBACK_PORTS } from "../common/monitoring.ts";
import { type BuiltService, builtServices, SERVICES } from "../common/services.ts";
import { shellWord } from "../common/shell-quote.ts";
import type { ServiceKeys } from "../secrets/catalog.ts";
import { secretServices } from "../secrets/entry.ts";
import type { Environment } from "./environment.ts";
import { builtImage } from "./images.ts";
import { readImageReference, versionOf } from "../common/image-reference.ts";

export const stepStatuses = ["Non commencé", "En cours", "Complété", "Bloqué"] as const;
export type StepStatus = (typeof stepStatuses)[number];

const status = z.enum(stepStatuses);

export const deploymentStatus = z.object({
  environment: z.string(),
  url: z.string(),
  server: z.object({
    serviceName: z.string(),
    model: z.string(),
    vcores: z.number(),
    memoryMib: z.number(),
    diskGib: z.number(),
    os: z.string(),
    place: z.string(),
    state: z.string(),
    ipv4: z.string(),
    ipv6: z.string(),
  }),
  versions: z.array(
    z.object({ service: z.string(), image: z.string(), version: z.string(), digest: z.string() }),
  ),
  firewall: z.array(
    z.object({ port: z.string(), service: z.string(), comment: z.string(), sources: z.array(z.string()) }),
  ),
  apiKeys: z.array(
    z.object({ service: z.enum(secretServices), required: z.boolean(), configured: z.boolean() }),
  ),
  phases: z.array(
    z.object({
      name: z.string(),
      status,
      steps: z.array(z.object({ name: z.string(), status, proof: z.string() })),
    }),
  ),
});

/** The stack's outputs that `npm run status` reads. */
export const stackOutputs = z.object({
  deploymentStatus,
  url: z.string(),
  ipv4: z.string(),
  ipv6: z.string(),
  sshCommand: z.string(),
  /** What a program needs to log in, host key included. */
  ssh: z.object({
    address: z.string(),
    port: z.number(),
    user: z.string(),
    privateKeyFile: z.string(),
    hostKey: z.string(),
  }),
  tunnels: z.array(z.object({ service: z.string(), url: z.string(), command: z.string() })),
});

export type DeploymentStatus = z.output<typeof deploymentStatus>;
export type StackOutputs = z.output<typeof stackOutputs>;

/** Proof of a whole step or of a part of it, or what blocks the step. */
export type Proof = string | { readonly partly: string } | { readonly blocked: string };

/**
 * The user's steps, by phase, each with the key of the evidence that a resource gives. Of a step without a key no resource gives any;
 * reports/tracking/steps.ts adds what releases and checks prove.
 */
export const PHASES = [
  {
    name: "Préparation du serveur",
    steps: [
      ["Installation OS", "os"],
      ["Configuration Firewall", "firewall"],
      ["Installation Docker", "docker"],
    ],
  },
  {
    name: "Déploiement des services",
    steps: [
      ["Clonage du repository", "sources"],
      ["Configuration des clés API", "apiKeys"],
      ["Exécution du script de déploiement", "services"],
    ],
  },
  {
    name: "Configuration de n8n",
    steps: [
      ["Génération clé de chiffrement", "n8nEncryptionKey"],
      ["Configuration variables d'environnement", "n8nEnvironment"],
      ["Configuration HTTPS pour n8n", "n8nHttps"],
      ["Import des workflows"],
      ["Configuration des credentials"],
    ],
  },
  {
    name: "Configuration HTTPS",
    steps: [
      ["Configuration DNS", "dns"],
      ["Installation Certbot", "certbot"],
      ["Obtention certificats SSL", "certificate"],
    ],
  },
  {
    name: "Tests post-déploiement",
    steps: [
      ["Tests fonctionnels", "functionalTests"],
      ["Tests des workflows n8n"],
      ["Tests de performance"],
      ["Tests de sécurité"],
    ],
  },
  {
    name: "Configuration monitoring",
    steps: [
      ["Installation du script de monitoring", "monitoring"],
      ["Configuration des alertes", "alerting"],
      ["Tests des alertes"],
    ],
  },
] as const;

export type StepName = (typeof PHASES)[number]["steps"][number][0];

export type EvidenceKey = Extract<(typeof PHASES)[number]["steps"][number], readonly [string, string]>[1];

/** What resources prove; that of the API keys and of the sources follows from the keys and the images themselves. */
export type Evidence = { readonly [Key in Exclude<EvidenceKey, "apiKeys" | "sources">]?: Proof | undefined };

/** Keys that the document's table "Configuration des Clés API" lists. */
const API_SERVICES: readonly string[] = ["Google Document AI", "Google Vision AI", "VoyageAI", "Anthropic"];

/** What was read of a deployment; the rest of its status follows from the environment. */
export interface DeploymentFacts {
  readonly server: DeploymentStatus["server"];
  /** Services that run, and the image each reports; an image may carry the digest that was resolved. */
  readonly images: Readonly<Record<string, string>>;
  readonly keys: readonly ServiceKeys[];
  readonly evidence: Evidence;
}

export function describeStatus(environment: Environment, facts: DeploymentFacts): DeploymentStatus {
  const proofs: Record<string, Proof | undefined> = {
    ...facts.evidence,
    apiKeys: proofOfKeys(facts.keys),
    sources: proofOfSources(environment, facts.images),
  };
  return {
    environment: environment.name,
    url: urlOf(environment),
    server: facts.server,
    versions: Object.entries(facts.images).map(([service, image]) => ({
      service,
      image: image.replace(/@.*$/, ""),
      version: versionOf(image),
      digest: readImageReference(image)?.digest ?? "",
    })),
    firewall: firewallTable(environment),
    apiKeys: facts.keys.map(({ service, required, configured }) => ({ service, required, configured })),
    phases: PHASES.map(({ name, steps }) => {
      const described = steps.map(([step, key]) =>
        describeStep(step, key === undefined ? undefined : proofs[key]),
      );
      return { name, status: overall(described.map((step) => step.status)), steps: described };
    }),
  };
}

export function urlOf(environment: Environment): string {
  return `https://${environment.domain}`;
}

/** Programs of the monitoring with pages to look at. */
const MONITORING_TUNNELS = [
  { service: "Dashboards", port: LOOPBACK_PORTS.metrics, page: "/vmui/#/dashboards" },
  { service: "Logs", port: LOOPBACK_PORTS.logs, page: "/select/vmui/" },
  { service: "Alerts", port: LOOPBACK_PORTS.alerts, page: "/" },
];

/** How an operator reaches the server, and through it the services that are not public. */
export function describeAccess(
  environment: Environment,
  ipv4: string,
  hostKey: string,
): Pick<StackOutputs, "sshCommand" | "ssh" | "tunnels"> {
  const { port, privateKeyFile } = environment.ssh;
  const user = environment.server.loginUser;
  const target = `-i ${shellWord(privateKeyFile)} -p ${port} ${user}@${ipv4}`;
  return {
    sshCommand: `ssh ${target}`,
    ssh: { address: ipv4, port, user, privateKeyFile, hostKey },
    tunnels: [
      { service: "n8n", port: 5678, page: "" },
      { service: "Qdrant", port: 6333, page: "" },
      ...(environment.monitoring.enabled ? MONITORING_TUNNELS : []),
    ].map(({ service, port: local, page }) => ({
      service,
      url: `http://localhost:${local}${page}`,
      command: `ssh -N -L ${local}:127.0.0.1:${local} ${target}`,
    })),
  };
}

function describeStep(
  name: string,
  proof: Proof | undefined,
): DeploymentStatus["phases"][number]["steps"][number] {
  if (proof === undefined) return { name, status: "Non commencé", proof: "" };
  if (typeof proof === "string") return { name, status: "Complété", proof };
  return "blocked" in proof
    ? { name, status: "Bloqué", proof: proof.blocked }
    : { name, status: "En cours", proof: proof.partly };
}

function overall(statuses: readonly StepStatus[]): StepStatus {
  if (statuses.includes("Bloqué")) return "Bloqué";
  const [first = "Non commencé"] = statuses;
  return statuses.every((step) => step === first) ? first : "En cours";
}

function proofOfKeys(keys: readonly ServiceKeys[]): Proof | undefined {
  const apis = keys.filter(({ service }) => API_SERVICES.includes(service));
  const names = (configured: boolean) =>
    apis
      .filter((key) => key.configured === configured)
      .map(({ service }) => service)
      .join(", ");
  if (names(true) === "") return undefined;
  return names(false) === "" ? names(true) : { partly: `${names(true)} ; reste ${names(false)}` };
}

/** The commits that run: the name of a built image holds its own. */
function proofOfSources(environment: Environment, images: DeploymentFacts["images"]): Proof | undefined {
  const running = builtServices.filter((service) => images[service] !== undefined);
  const isBuilt = (service: BuiltService) =>
    builtImage(environment, service) === images[service]?.replace(/@.*$/, "");
  const built = running.filter(isBuilt).map((service) => {
    const { commit, repository } = environment.builds.sources[service]!;
    return `${SERVICES[service].alias} ${commit.slice(0, 12)} (${repository})`;
  });
  if (built.length === 0) return undefined;
  const others = running.filter((service) => !isBuilt(service)).map((service) => SERVICES[service].alias);
  return others.length === 0
    ? built.join(", ")
    : { partly: `${built.join(", ")} ; reste ${others.join(", ")}` };
}

function firewallTable(environment: Environment): DeploymentStatus["firewall"] {
  const { ssh } = environment;
  const everywhere = ["0.0.0.0/0", "::/0"];
  return [
    {
      port: `${ssh.port}/tcp`,
      service: "SSH",
      comment: "Accès administrateur",
      sources: [...ssh.adminCidrs.v4, ...ssh.adminCidrs.v6],
    },
    { port: "80/tcp", service: "HTTP", comment: "Redirection vers HTTPS", sources: everywhere },
    { port: "443/tcp", service: "HTTPS", comment: "Frontend + API", sources: everywhere },
    {
      port: "5678/tcp",
      service: "n8n",
      comment: "Administration des workflows (accès interne uniquement)",
      sources: ["127.0.0.1"],
    },
    {
      port: "6333/tcp",
      service: "Qdrant API",
      comment: "Base vectorielle (accès interne uniquement)",
      sources: ["127.0.0.1"],
    },
  ];
}

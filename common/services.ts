/** The services of an environment, and the names by which the program and the commands know them. Plain data: every folder reads it. */

/** Services that a switch in the settings turns on. */
export const optionalServices = ["n8nRunners", "documentProcessor", "visionClassifier", "frontend"] as const;

export type OptionalService = (typeof optionalServices)[number];

/** The settings that decide which services run; every `Environment` has them. */
export interface ServiceSettings {
  readonly services: { readonly n8n: { readonly database: "sqlite" | "postgres" } } & Readonly<
    Record<OptionalService, { readonly enabled: boolean }>
  >;
  readonly monitoring: { readonly enabled: boolean };
}

interface Service {
  /** Name on the networks of the containers; the service on the server is `technicia-<alias>`. */
  readonly alias: string;
  /** Absent: in every environment. */
  readonly isOn?: (settings: ServiceSettings) => boolean;
  /** Key of its image in the settings `images`. @default the service's own */
  readonly image?: string;
}

/** Every service, by its key in the settings `services`, and in `images` where it does not share the image of another. */
export const SERVICES = {
  qdrant: { alias: "qdrant" },
  vectorStore: { alias: "vector-store" },
  n8n: { alias: "n8n" },
  n8nRunners: { alias: "n8n-runners", isOn: isSwitchedOn("n8nRunners") },
  postgres: { alias: "postgres", isOn: ({ services }) => services.n8n.database === "postgres" },
  gateway: { alias: "gateway" },
  documentProcessor: { alias: "document-processor", isOn: isSwitchedOn("documentProcessor") },
  visionClassifier: { alias: "vision-classifier", isOn: isSwitchedOn("visionClassifier") },
  frontend: { alias: "frontend", isOn: isSwitchedOn("frontend") },
  metrics: { alias: "metrics", isOn: isMonitored },
  logs: { alias: "logs", isOn: isMonitored },
  metricRules: { alias: "metric-rules", isOn: isMonitored, image: "rules" },
  logRules: { alias: "log-rules", isOn: isMonitored, image: "rules" },
  alerts: { alias: "alerts", isOn: isMonitored },
  probes: { alias: "probes", isOn: isMonitored },
} as const satisfies Readonly<Record<string, Service>>;

function isSwitchedOn(name: OptionalService) {
  return ({ services }: ServiceSettings) => services[name].enabled;
}

function isMonitored({ monitoring }: ServiceSettings): boolean {
  return monitoring.enabled;
}

/** The programs of the monitoring, which visitors do not need. */
export const monitoringServices = ["metrics", "logs", "metricRules", "logRules", "alerts", "probes"] as const;

export type MonitoringService = (typeof monitoringServices)[number];

/** TechnicIA's own services, whose images `npm run images -- build` makes. */
export const builtServices = ["vectorStore", "documentProcessor", "visionClassifier", "frontend"] as const;

export type BuiltService = (typeof builtServices)[number];

/** Databases whose next version is a step of its own (`npm run upgrade`). */
export const upgradedServices = ["qdrant", "postgres"] as const;

export type UpgradedService = (typeof upgradedServices)[number];

export type ServiceName = keyof typeof SERVICES;

/** Key of a service's image in the settings `images`. */
export type ServiceImage = {
  [Name in ServiceName]: (typeof SERVICES)[Name] extends { readonly image: infer Image } ? Image : Name;
}[ServiceName];

export const serviceNames = Object.keys(SERVICES) as ServiceName[];

export function isServiceOn(name: ServiceName, settings: ServiceSettings): boolean {
  const { isOn }: Service = SERVICES[name];
  return isOn === undefined || isOn(settings);
}

export function imageOf(name: ServiceName): ServiceImage {
  const { image }: Service = SERVICES[name];
  return (image ?? name) as ServiceImage;
}

/** The services that an environment runs, in the order of `SERVICES`. */
export function enabledServices(settings: ServiceSettings): ServiceName[] {
  return serviceNames.filter((name) => isServiceOn(name, settings));
}

/** Aliases of the services that an environment runs, in the order of `SERVICES`: `vector-store`. */
export function enabledAliases(settings: ServiceSettings): string[] {
  return enabledServices(settings).map((name) => SERVICES[name].alias);
}

/** The service that answers visitors while the gateway is replaced; `gateway-handover.sh` and `gateway-hold.sh` have its name, too. */
export const SECOND_GATEWAY = "technicia-gateway-second";

/** Name of the Swarm service on the server: `technicia-vector-store`. */
export function swarmName(name: ServiceName): string {
  return `technicia-${SERVICES[name].alias}`;
}

/** The one collection in Qdrant. The vector-store fills it; `indexes` are the payload fields that searches filter by. */
export const COLLECTION = {
  collection: "technicia",
  /** Dimensions of a vector, as VoyageAI's models return them. */
  size: 1024,
  distance: "Cosine",
  indexes: {
    type: "keyword",
    schema_type: "keyword",
    document_name: "keyword",
    document_id: "keyword",
    page_number: "integer",
  },
} as const;

/** What the frontend calls: the gateway passes `/api/<name>` to n8n's webhook `<name>`. */
export const WEBHOOKS = ["upload", "question", "start-diagnosis", "diagnosis-step"] as const;

/** n8n's public paths besides `/webhook/`, by the name that opens them. n8n prints links to them whether they are open or not. */
export const OPENABLE_PATHS = {
  forms: ["/form/", "/form-waiting/"],
  waiting: ["/webhook-waiting/"],
  mcp: ["/mcp/"],
  chat: ["/chat"],
} as const;

export type OpenablePath = keyof typeof OPENABLE_PATHS;

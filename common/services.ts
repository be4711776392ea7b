/** The services of an environment, and the names by which the program and the commands know them. Plain data: every folder reads it. */

/** Services that a switch in the settings turns on. */
export const optionalServices = ["n8nRunners", "documentProcessor", "visionClassifier", "frontend"] as const;

export type OptionalService = (typeof optionalServices)[number];

/** The settings that decide which services run; every `Environment` has them. */
export interface ServiceSettings {
  readonly services: { readonly n8n: { readonly database: "sqlite" | "postgres" } } & Readonly<
    Record<OptionalService, { readonly enabled: boolean }>
  >;
}

interface Service {
  /** Name on the networks of the containers; the service on the server is `technicia-<alias>`. */
  readonly alias: string;
  /** Absent: in every environment. */
  readonly isOn?: (settings: ServiceSettings) => boolean;
}

/** Every service, by its key in the settings `services` and `images`. */
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
} as const satisfies Readonly<Record<string, Service>>;

function isSwitchedOn(name: OptionalService) {
  return ({ services }: ServiceSettings) => services[name].enabled;
}

/** TechnicIA's own services, whose images `npm run images -- build` makes. */
export const builtServices = ["vectorStore", "documentProcessor", "visionClassifier", "frontend"] as const;

export type BuiltService = (typeof builtServices)[number];

/** Databases whose next version is a step of its own (`npm run upgrade`). */
export const upgradedServices = ["qdrant", "postgres"] as const;

export type UpgradedService = (typeof upgradedServices)[number];

export type ServiceName = keyof typeof SERVICES;

export const serviceNames = Object.keys(SERVICES) as ServiceName[];

export function isServiceOn(name: ServiceName, settings: ServiceSettings): boolean {
  const { isOn }: Service = SERVICES[name];
  return isOn === undefined || isOn(settings);
}

/** The services that an environment runs, in the order of `SERVICES`. */
export function enabledServices(settings: ServiceSettings): ServiceName[] {
  return serviceNames.filter((name) => isServiceOn(name, settings));
}

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

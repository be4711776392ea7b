import type { Release } from "./base.ts";
import type { ProgramName } from "./programs.ts";

/** How to build one image. */
export interface Recipe {
  /** Folder of its Dockerfile, next to this file. */
  readonly folder: string;

  /** Build arguments that are other images, by their names here. */
  readonly images: Readonly<Record<string, string>>;
  readonly values?: Readonly<Record<string, string>>;

  /** Whether the folder's npm packages are installed into the build's context first, and its script "slim" is run there. */
  readonly npm?: boolean;

  /** Program that is built on this machine and put into the build's context as `program`. */
  readonly program?: ProgramName;

  /** Whether it goes before all that waits, for being on the longest way to the end. */
  readonly first?: boolean;

  /** Whether no visitor waits for it, so that it is built when all others are there. */
  readonly last?: boolean;
}

function on(base: Release, folder: string): Recipe {
  return { folder, images: { BASE: base } };
}

function versioned(folder: string, version: string): Recipe {
  return { ...on("debian13", folder), values: { VERSION: version } };
}

function python(folder: string, values: Readonly<Record<string, string>>): Recipe {
  return { folder, images: { PYTHON: "python" }, values };
}

function monitoring(folder: string, rest: Pick<Recipe, "program" | "values">): Recipe {
  return { folder: `monitoring/${folder}`, images: { MONITORING: "monitoring" }, last: true, ...rest };
}

/** Every image but the bases. What a server pulls shares one base, which it then pulls once. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  server: on("debian12", "server"),
  "server-debian11": on("debian11", "server"),
  "server-debian13": on("debian13", "server"),
  router: on("debian13", "router"),
  scanner: on("debian13", "scanner"),
  registry: on("debian13", "registry"),
  pebble: on("debian13", "pebble"),
  restic: versioned("restic", "0.19.1"),
  s3: versioned("s3", "4.48"),
  nginx: on("debian13", "nginx"),
  postgres: on("debian13", "postgres"),
  python: on("debian13", "python"),
  node: { ...on("debian13", "node"), npm: true, first: true },
  clouds: { folder: "clouds", images: { NODE: "node" } },
  n8n: { folder: "n8n", images: { BASE: "debian13", NODE: "node" }, npm: true, first: true },
  runners: { folder: "runners", images: { N8N: "n8n" } },
  certbot: python("certbot", {}),
  qdrant: python("qdrant", { VERSION: "1.19.0" }),
  "qdrant-next": python("qdrant", { VERSION: "1.19.1" }),
  "vector-store": python("vector-store", { VERSION: "1.0.0" }),
  "vector-store-next": python("vector-store", { VERSION: "1.0.1" }),
  "vector-store-sick": python("vector-store", { VERSION: "1.0.2", SICK: "health" }),
  "vector-store-faulty": python("vector-store", { VERSION: "1.0.3", SICK: "calls" }),
  "document-processor": python("document-processor", { VERSION: "1.0.0" }),
  "vision-classifier": python("vision-classifier", { VERSION: "1.0.0" }),
  frontend: { folder: "frontend", images: { NGINX: "nginx" }, values: { VERSION: "1.0.0" } },
  monitoring: { ...on("debian13", "monitoring/base"), last: true },
  "victoria-metrics": monitoring("victoria-metrics", { program: "victoria-metrics" }),
  "victoria-logs": monitoring("victoria-logs", { program: "victoria-logs" }),
  vmalert: monitoring("vmalert", { program: "vmalert" }),
  alertmanager: monitoring("alertmanager", { values: { VERSION: "0.28.1" } }),
  "blackbox-exporter": monitoring("blackbox-exporter", { values: { VERSION: "0.26.0" } }),
  mailpit: { ...on("debian13", "mailpit"), program: "mailpit", last: true },
};

/** Operating systems that a server can have: OVH's name → recipe. The first is what the fake OVH takes where nobody chose. */
export const SYSTEMS = {
  "Debian 12": "server",
  "Debian 11": "server-debian11",
  "Debian 13": "server-debian13",
} as const;
export type System = keyof typeof SYSTEMS;

export const SYSTEM_NAMES = Object.keys(SYSTEMS) as readonly System[];

/** What a rehearsal's server has unless another system is asked for. */
export const USUAL_SYSTEM: System = "Debian 12";

/** TechnicIA's own services: name at Docker Hub → recipe. They are in no public registry. */
export const OURS: Readonly<Record<string, string>> = {
  "technicia/vector-store:1.0.0": "vector-store",
  "technicia/vector-store:1.0.1": "vector-store-next",
  "technicia/vector-store:1.0.2-sick": "vector-store-sick",
  "technicia/vector-store:1.0.3-faulty": "vector-store-faulty",
  "technicia/document-processor:1.0.0": "document-processor",
  "technicia/vision-classifier:1.0.0": "vision-classifier",
  "technicia/frontend:1.0.0": "frontend",
};

/** A third-party image that the rehearsal offers: pulled where that is possible, else built here. */
export interface Upstream {
  /** Name at Docker Hub, as the committed settings have it. */
  readonly name: string;
  readonly recipe: string;

  /** Name of the image that is built here, where it cannot be the same version. @default `name` */
  readonly made?: string;

  /** Key of `technicia:images` that has to name it then. */
  readonly setting?: string;
}

export const OTHERS: readonly Upstream[] = [
  { name: "qdrant/qdrant:v1.19.0-unprivileged", recipe: "qdrant" },
  { name: "qdrant/qdrant:v1.19.1-unprivileged", recipe: "qdrant-next" },
  { name: "library/nginx:1.30.4-alpine", recipe: "nginx" },
  { name: "certbot/certbot:v5.8.0", recipe: "certbot" },
  { name: "restic/restic:0.19.1", recipe: "restic" },
  { name: "library/postgres:17.9-bookworm", recipe: "postgres" },
  // The committed version's packages are not all in the npm registry.
  { name: "n8nio/n8n:2.41.3", recipe: "n8n", made: "n8nio/n8n:2.3.6", setting: "n8n" },
  // Always n8n's own version: they speak a protocol of their own.
  {
    name: "n8nio/runners:2.41.3",
    recipe: "runners",
    made: "n8nio/runners:2.3.6",
    setting: "n8nRunners",
  },
  { name: "victoriametrics/victoria-metrics:v1.151.0", recipe: "victoria-metrics" },
  { name: "victoriametrics/victoria-logs:v1.52.1", recipe: "victoria-logs" },
  { name: "victoriametrics/vmalert:v1.151.0", recipe: "vmalert" },
  { name: "prom/alertmanager:v0.28.1", recipe: "alertmanager" },
  { name: "prom/blackbox-exporter:v0.26.0", recipe: "blackbox-exporter" },
];

/** The mail server of the rehearsal, which no server pulls. */
export const MAILPIT: Upstream = { name: "axllent/mailpit:v1.33.1", recipe: "mailpit" };

/** Whether no visitor waits for what a recipe makes. */
export function isLast(recipe: string): boolean {
  return RECIPES[recipe]?.last === true;
}

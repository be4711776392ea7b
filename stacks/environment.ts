/**
 * One environment, read and checked: plain, readonly and trusted.
 *
 * `settings.ts` makes it from `Pulumi.<stack>.yaml`; everything else only reads it. Every name that two
 * places must agree on is derived here.
 */

/** Memory and CPU ceiling of one service. */
export interface Limits {
  /** Hard memory limit, in MiB. */
  readonly memoryMib: number;
  /** CPU limit, in cores; 0.5 is half a core. */
  readonly cpus: number;
}

/** A server that already exists, named as OVH names it (for example `vps-1a2b3c4d.vps.ovh.net`). */
export interface AdoptedServer {
  readonly kind: "adopt";
  readonly serviceName: string;
}

/** A server to be ordered when none is ours yet. */
export interface OrderedServer {
  readonly kind: "order";
  /** Country whose catalogue and prices apply, for example `FR`. */
  readonly subsidiary: string;
  /** Highest price the user accepts, in euros per month without tax. */
  readonly maxMonthlyPriceEur: number;
}

export const weekdays = [
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
] as const;
export type Weekday = (typeof weekdays)[number];

/** When this environment may be deployed, and what its deployment is measured against. */
export interface Operations {
  /** Undefined: at any time. Times are UTC, `09:00`. */
  readonly window:
    { readonly days: readonly Weekday[]; readonly fromUtc: string; readonly toUtc: string } | undefined;
  /** Days, and the days before them, on which the window stays shut. */
  readonly holidays: {
    /** Country whose public holidays count. */
    readonly country: "FR" | undefined;
    /** More days of one's own, `2026-12-24`. */
    readonly extra: readonly string[];
  };
  /** Spans of days, both included, in which nothing is deployed. */
  readonly freezes: readonly { readonly from: string; readonly to: string; readonly reason: string }[];
  /** How long the name must have pointed at the server before a deployment. */
  readonly dnsSettledHours: number;
  readonly thresholds: {
    /** Largest share of failed requests, from 0 to 1. */
    readonly errorRatio: number;
    readonly p50Ms: number;
    readonly p95Ms: number;
    readonly p99Ms: number;
    /** Least throughput of what is served without a language model. */
    readonly requestsPerSecond: number;
    /** How long the load lasts. */
    readonly loadSeconds: number;
    /** Fewest days that the certificate is still valid. */
    readonly certificateDays: number;
    readonly diskFreePercent: number;
    readonly memoryUsedPercent: number;
    /** Longest time that putting the previous release back may take. */
    readonly rollbackSeconds: number;
  };
}

export interface Environment {
  /** Stack name: test, staging, prod. */
  readonly name: string;
  readonly domain: string;
  readonly adminEmail: string;
  readonly locale: { readonly language: string; readonly timeZone: string };

  readonly server: {
    readonly source: AdoptedServer | OrderedServer;
    /** Least size accepted, adopted or ordered. */
    readonly vcores: number;
    readonly memoryGib: number;
    /** OVH datacentre code, for example `GRA`. */
    readonly datacentre: string;
    /** OS label as OVH writes it, for example `Debian 12`. */
    readonly image: string;
    /** User that the OS image creates and our public key lands on. */
    readonly loginUser: string;
    /** Whether `pulumi destroy` sets the contract to end at its expiry; the server is left alone otherwise. */
    readonly deleteAtExpiry: boolean;
  };

  readonly ssh: {
    readonly port: number;
    /** Path of the operator's private key; `~` is the operator's home. */
    readonly privateKeyFile: string;
    /** Key installed with the OS image (`ssh-ed25519 AAAA… comment`). */
    readonly publicKey: string;
    readonly adminCidrs: { readonly v4: readonly string[]; readonly v6: readonly string[] };
    /** People besides the login user. */
    readonly admins: readonly { readonly name: string; readonly keys: readonly string[] }[];
  };

  readonly ovh: {
    /** `ovh-eu`, or the URL of an API, without a trailing slash. */
    readonly endpoint: string;
  };

  readonly dns: {
    readonly provider: "cloudflare" | "ovh";
    /** Zone that holds the domain, for example `exemple.fr`. */
    readonly zone: string;
    /** Cloudflare's id of the zone; empty when the provider is OVH. */
    readonly zoneId: string;
    /** Base URL of Cloudflare's API; empty for the real one. */
    readonly cloudflareBaseUrl: string;
    readonly ttlSeconds: number;
    /** Certificate authorities that CAA records admit, for example `letsencrypt.org`. */
    readonly caaIssuers: readonly string[];
  };

  readonly host: {
    /** Where Docker comes from. */
    readonly dockerSource: "distribution" | "docker";
    readonly swapGib: number;
  };

  readonly acme: {
    /** Directory URL of the certificate authority. */
    readonly directory: string;
    readonly keyType: "ecdsa" | "rsa";
    /** Whether browsers trust this authority; HSTS is sent only then. */
    readonly trusted: boolean;
  };

  readonly images: {
    readonly qdrant: string;
    readonly vectorStore: string;
    readonly n8n: string;
    readonly n8nRunners: string;
    readonly gateway: string;
    readonly certbot: string;
    readonly postgres: string;
    readonly documentProcessor: string;
    readonly visionClassifier: string;
    readonly frontend: string;
  };

  readonly services: {
    readonly qdrant: Limits & {
      /** Whether every caller of Qdrant sends the API key. */ readonly apiKey: boolean;
    };
    readonly vectorStore: Limits;
    readonly n8n: Limits & {
      readonly database: "sqlite" | "postgres";
      readonly owner: { readonly firstName: string; readonly lastName: string };
    };
    readonly n8nRunners: Limits & { readonly enabled: boolean };
    readonly postgres: Limits;
    readonly gateway: Limits & {
      /** Addresses that may open n8n's editor over HTTPS. */ readonly editorCidrs: readonly string[];
    };
    readonly documentProcessor: Limits & {
      readonly enabled: boolean;
      readonly project: string;
      readonly location: string;
      readonly processorId: string;
    };
    readonly visionClassifier: Limits & { readonly enabled: boolean };
    readonly frontend: Limits & { readonly enabled: boolean };
  };

  /** Largest upload, in MiB: feeds nginx and both limits of n8n. */
  readonly uploadMaxMib: number;
  readonly timeouts: {
    /** Longest upload, in seconds. */
    readonly uploadSeconds: number;
    /** Longest answer of a webhook that asks a language model, in seconds. */
    readonly answerSeconds: number;
    /** Longest wait for a service to converge, in seconds. */
    readonly convergenceSeconds: number;
    /** How long an update is watched for failing tasks before it counts, in seconds. */
    readonly observationSeconds: number;
  };
  /** Whether `pulumi destroy` must leave stored data alone. */
  readonly protectData: boolean;
  /** Read by the operator's commands only: no resource follows from it. */
  readonly operations: Operations;
}

type Named = Pick<Environment, "domain"> & { readonly services: Pick<Environment["services"], "gateway"> };

/** Name under which n8n's editor is served, where it is. */
export function editorName({ domain }: Pick<Environment, "domain">): string {
  return `n8n.${domain}`;
}

/** The names that lead to the server: the editor's only where `services.gateway.editorCidrs` admits somebody. */
export function publicNames(environment: Named): string[] {
  const { domain, services } = environment;
  return services.gateway.editorCidrs.length > 0 ? [domain, editorName(environment)] : [domain];
}

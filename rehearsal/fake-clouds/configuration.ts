import type { Token } from "./cloudflare/auth.ts";
import type { RecordInput } from "./cloudflare/records.ts";
import type { Credential, KeyCredential } from "./ovh/auth.ts";
import type { Processor } from "./google/documents.ts";
import type { ServiceAccount } from "./google/tokens.ts";
import type { Place } from "./machine/docker-machine.ts";
import type { Delays } from "./ovh/context.ts";
import type { VpsService } from "./ovh/state.ts";

/** The JSON file that `main.ts` is started with. */
export interface Configuration {
  /** Address to listen on. @default "::", which is IPv4 too */
  readonly listen?: string;
  /** @default 8080, 8081, 443, 8090 and 53 */
  readonly ports?: Partial<Ports>;
  readonly ovh: Omit<KeyCredential, "kind"> & {
    /** Further accepted credentials. @default none */
    readonly credentials?: readonly Credential[];
    /** Ids of Public Cloud projects. @default none */
    readonly projects?: readonly string[];
    /** DNS zones at OVH. @default none */
    readonly zones?: readonly string[];
    /** @default MODERATE_DELAYS */
    readonly delays?: Partial<Delays>;
    /** How far OVH's clock is ahead. @default 0 */
    readonly clockSkewSeconds?: number;
    /** @default 400 */
    readonly ruleConflictStatus?: 400 | 409;
    /** Servers that the account has from the start; they are delivered at the first start. @default none */
    readonly servers?: readonly (Partial<VpsService> & { readonly planCode: string })[];
  };
  /** The S3 server behind OVH's Object Storage. @default nothing keeps objects */
  readonly store?: {
    readonly container: string;
    /** Where it answers without TLS. */
    readonly address: string;
    /** File that it reads its identities from. */
    readonly identities: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
  };
  readonly cloudflare: {
    readonly token: string;
    readonly zone: { readonly id: string; readonly name: string };
    /** Records that the zone has from the first start. @default none */
    readonly records?: readonly RecordInput[];
    /** Further accepted tokens. That one may edit records and read zones. @default none */
    readonly tokens?: readonly Token[];
    /** What a proxied record answers. @default an address where nothing listens */
    readonly proxyAddresses?: readonly string[];
  };
  /** Certificate and key (PEM) of the services that answer under their own names: webhooks and those below. @default there are none */
  readonly webhooks?: { readonly cert: string; readonly key: string };
  /** Keys that VoyageAI knows; a `*` at the end stands for any letters. @default none */
  readonly voyage?: { readonly keys: readonly string[] };
  /** @default no key is known */
  readonly anthropic?: { readonly keys: readonly string[] };
  /** @default no account is known */
  readonly google?: {
    readonly accounts: readonly ServiceAccount[];
    readonly processors: readonly Processor[];
  };
  readonly dns: {
    /** Resolver that knows the rest of the world. @default none, all else is refused */
    readonly upstream?: string;
    readonly names?: Readonly<Record<string, readonly string[]>>;
    /** Whether the answer that a record does not exist is kept for the SOA's minimum. @default false */
    readonly keepsAbsence?: boolean;
  };
  /** @default nothing runs behind the API */
  readonly machine?: {
    /** Where servers are delivered, each to the first that is free, of its datacentre where there is one. */
    readonly places: readonly Place[];
    /** Docker image behind each operating system, by OVH's name for it. */
    readonly images: Readonly<Record<string, string>>;
    /** Operating systems that OVH offers. One without an image cannot be delivered. @default those with an image */
    readonly systems?: readonly string[];
    /** A bash script that makes another system of a server before it is handed over. @default none */
    readonly atDelivery?: string;
    /** Seconds for which the updates of a server's first boot hold dpkg's lock. @default none are installed then */
    readonly upgradeSeconds?: number;
    readonly nameserver: string;
    readonly router: string;
    /** Whether programs on a server may make network devices. @default false */
    readonly hasTun?: boolean;
    /** Certificate authorities (PEM) that the delivered system trusts. */
    readonly authority?: string;
  };
}

export interface Ports {
  readonly ovh: number;
  readonly cloudflare: number;
  readonly webhooks: number;
  readonly management: number;
  readonly dns: number;
}

export const PORTS: Ports = { ovh: 8080, cloudflare: 8081, webhooks: 443, management: 8090, dns: 53 };

/** Long enough that a client which polls sees every slow state, short enough not to slow a rehearsal down. */
export const MODERATE_DELAYS: Partial<Delays> = {
  checkingMs: 300,
  deliveringMs: 300,
  installingMs: 300,
  taskMs: 200,
  reinstallMs: 200,
  rebootMs: 200,
  firewallMs: 200,
  ruleMs: 100,
  zoneRefreshMs: 100,
};

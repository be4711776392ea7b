/**
 * One environment: the settings of a stack, checked, and what follows from them. Plain and readonly.
 *
 * `settings.ts` makes it. The type follows from the schema in `settings-schema.ts`, where every setting is documented.
 */
import type { ServerLabel, ServerRole } from "../common/servers.ts";
import type { Sections } from "./settings-schema.ts";

type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;

type Settings = DeepReadonly<Sections>;

type Builds = "registry" | "registryUser" | "sources";

/** A server that exists already, named as OVH names it, or one to order when there is none yet. */
export type ServerSource =
  | { readonly kind: "adopt"; readonly serviceName: string }
  | ({ readonly kind: "order" } & NonNullable<Settings["server"]["order"]>);

/** One server of an environment, with what it does not share with the others. */
export interface Server extends Pick<
  Settings["server"],
  "vcores" | "memoryGib" | "diskGib" | "datacentre" | "image"
> {
  readonly name: string;
  readonly role: ServerRole;
  readonly source: ServerSource;

  /** Of an only server: all of them. */
  readonly labels: readonly ServerLabel[];
}

export interface Environment extends Omit<Settings, "server" | "servers" | "acme" | "images"> {
  /** Stack name: test, staging, prod. */
  readonly name: string;

  /** What all servers share, and the size and source of the first one. */
  readonly server: Omit<Settings["server"], "serviceName" | "order" | "loginUser" | "ipv6"> & {
    readonly loginUser: string;
    readonly ipv6: boolean;
    readonly source: ServerSource;
  };

  /** In the order of the settings; the resources of the first one have the names of an only server's. */
  readonly servers: readonly [Server, ...Server[]];

  /** Every service's image. */
  readonly images: Omit<Settings["images"], Builds>;

  /** Where the images of TechnicIA's own services come from. */
  readonly builds: Pick<Settings["images"], Builds>;

  readonly acme: Settings["acme"] & { readonly trusted: boolean };
}

/** When this environment may be deployed, and what its deployment is measured against. */
export type Operations = Environment["operations"];

/** Name under which n8n's editor is served, where it is. */
export function editorName({ domain }: Pick<Environment, "domain">): string {
  return `n8n.${domain}`;
}

/** The names that point to the server: `domain`, and the editor's where `services.gateway.editorCidrs` admits somebody. */
export function publicNames(environment: Pick<Environment, "domain" | "services">): string[] {
  const { domain, services } = environment;
  return services.gateway.editorCidrs.length > 0 ? [domain, editorName(environment)] : [domain];
}

/** What the catalog says of a secret, and what decides whether an environment needs it. */
import type { ServiceSettings } from "../common/services.ts";

/** The services that a person gives keys to, as the status and `npm run secrets` list them. */
export const secretServices = [
  "Google Document AI",
  "Google Vision AI",
  "VoyageAI",
  "Anthropic",
  "n8n",
  "Qdrant",
  "Cloudflare",
  "OVH",
  "Registry",
  "Backup",
  "Monitoring",
] as const;

export type SecretService = (typeof secretServices)[number];

/** The settings that decide which secrets an environment needs; every `Environment` has them. */
export interface SecretsContext {
  readonly dns: { readonly provider: "cloudflare" | "ovh" };
  readonly services: ServiceSettings["services"] & { readonly qdrant: { readonly apiKey: boolean } };
  readonly builds: { readonly registryUser: string };
  readonly backup: { readonly project: string; readonly bucket?: object | undefined };
  readonly monitoring: {
    readonly enabled: boolean;
    readonly mail?: { readonly user: string } | undefined;
    readonly receivers: {
      readonly slack: boolean;
      readonly webhooks: readonly { readonly secret: string }[];
    };
    readonly neighbours: readonly unknown[];
    readonly ping: boolean;
  };

  /** Of the list of servers; absent without one. */
  readonly servers?: readonly unknown[];
}

export interface Condition {
  /** As `docs/settings.md` says it. */
  readonly words: string;
  /** `configured` are the names of the secrets that the stack has. */
  readonly holds: (context: SecretsContext, configured: ReadonlySet<string>) => boolean;
}

export interface SecretEntry {
  /** What the value is, in one sentence for the person who sets it. */
  readonly description: string;
  /** Services whose key it is. */
  readonly services: readonly SecretService[];
  /** Programs that read the value. */
  readonly readers: readonly string[];
  /** A person, or `npm run secrets -- <stack> --init`, which generates it. */
  readonly givenBy: "user" | "us";
  readonly minimumLength: number;
  /**
   * Characters that it may have: those of a header, which are ASCII's without spaces; `visible` ones, for a password; or `any`, where another
   * value would cost more than an unusual one.
   *
   * @default "header"
   */
  readonly characters?: "header" | "visible" | "any";
  /** Form besides the length; `expected` is the error text. */
  readonly form?: { readonly expected: string; readonly test: (value: string) => boolean };
  /** Service → when an environment cannot be deployed without this key of it. */
  readonly neededFor: Readonly<Partial<Record<SecretService, Condition>>>;
  readonly generate?: () => string;
  /** What is lost with another value, so that a deployed environment must keep this one. @default nothing */
  readonly irreplaceable?: string;
  /** Logical name of the resource without which nothing depends on an irreplaceable value yet. @default any resource */
  readonly usedBy?: string;
}

/** Servers and zones that are not as a provider's usual image leaves them: what a first deployment may meet. All of them are here. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { DATACENTRE, ZONE } from "./addresses.ts";

/** A record that somebody else wrote under the environment's name. */
interface ForeignRecord {
  readonly type: "A" | "CNAME";
  readonly content: string;
}

export interface Variant {
  /** In rehearsal/variants/: runs as root on the delivered server, before anybody is told of it. */
  readonly script?: string;
  readonly record?: ForeignRecord;

  /** Whether it is a server that the operator has already, and not one that is ordered. */
  readonly isOwned?: boolean;

  /** Whether a resolver keeps the answer that a name does not exist. */
  readonly keepsAbsence?: boolean;
}

export const VARIANTS = {
  chrony: { script: "chrony.sh" },
  "no-ipv6": { script: "no-ipv6.sh" },
  nftables: { script: "nftables.sh" },
  swap: { script: "swap.sh" },
  "docker-ce": { script: "docker-ce.sh" },
  "docker-source": { script: "docker-source.sh" },
  "in-use": { script: "in-use.sh", isOwned: true },
  // A registrar's page for domains that nothing is on yet.
  "parking-record": { record: { type: "A", content: "192.0.2.80" } },
  "cname-record": { record: { type: "CNAME", content: `www.${ZONE}` } },
  "same-record": { record: { type: "A", content: DATACENTRE.server } },
  "kept-absence": { keepsAbsence: true },
} as const satisfies Readonly<Record<string, Variant>>;
export type VariantName = keyof typeof VARIANTS;

export const VARIANT_NAMES = Object.keys(VARIANTS) as readonly VariantName[];

/** Whether a rehearsal with that variant orders no server. */
export function isOwned(name: VariantName): boolean {
  const variant: Variant = VARIANTS[name];
  return variant.isOwned === true;
}

export interface Rendered {
  readonly isOwned: boolean;
  readonly keepsAbsence: boolean;
  readonly records: readonly (ForeignRecord & { readonly name: string; readonly ttl: number })[];

  /** Bash. */
  readonly atDelivery?: string;
}

/** What the fake clouds need to know of these variants; the records are for `name`. */
export function renderVariants(names: readonly VariantName[], name: string): Rendered {
  const chosen = names.map((one): Variant => VARIANTS[one]);
  const scripts = chosen.flatMap(({ script }) => (script === undefined ? [] : [read(script)]));
  return {
    isOwned: names.some(isOwned),
    keepsAbsence: chosen.some(({ keepsAbsence }) => keepsAbsence === true),
    records: chosen.flatMap(({ record }) => (record === undefined ? [] : [{ name, ttl: 300, ...record }])),
    // One that ends in the middle must not pass for the next one's beginning.
    ...(scripts.length > 0 && { atDelivery: [read("common.sh"), ...scripts].join("\n") }),
  };
}

function read(script: string): string {
  return readFileSync(join(import.meta.dirname, "variants", script), "utf8");
}

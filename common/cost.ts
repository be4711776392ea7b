/** What an environment costs in a month, without VAT. */

/** In euros; or why nobody knows how much it is; or why it is billed by use, and part of no sum. */
export type Amount =
  | { readonly kind: "euros"; readonly euros: number }
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "not-estimated"; readonly why: string };

export interface CostLine {
  readonly what: "server" | "option" | "backups" | "usage";

  /** The plan's code, what is stored where, or who bills it: `vps-2027-model2`, `3.2 GiB in RBX`. */
  readonly name: string;

  readonly monthly: Amount;

  /** Whose price of when: `OVH's catalogue of FR, 2026-11-24`; empty without a price. */
  readonly source: string;
}

export interface Cost {
  readonly lines: readonly CostLine[];

  /** Paid once, in euros: set-up fees of what is still to be ordered. */
  readonly once: number;
}

export interface Sum {
  /** Of what is known, to the cent. */
  readonly euros: number;

  /** Names of the lines of which nobody knows how much they are. */
  readonly unknown: readonly string[];
}

export function sumOf({ lines }: Cost): Sum {
  const known = lines.reduce((sum, { monthly }) => sum + (monthly.kind === "euros" ? monthly.euros : 0), 0);
  return {
    euros: Math.round(known * 100) / 100,
    unknown: lines.flatMap(({ monthly, what, name }) =>
      monthly.kind === "unknown" ? [`${what} ${name}`] : [],
    ),
  };
}

/**
 * What the state keeps of the program's own words at the last deployment that finished. A refresh, a repair that failed and an import of a
 * resource leave it alone.
 */
import { z } from "zod";

/** A component, because a refresh reads no component. */
export const DECLARATION_TYPE = "technicia:stacks:Declaration";

export const declarationRecord = z.object({
  /** Digest of the program's files and of the secrets: while it is the same, only the settings can declare anything else. */
  basis: z.string(),

  /** The stack's configuration without its secrets, as the engine gives it to the program. */
  settings: z.record(z.string(), z.string()),

  /** Type and name of a resource (`keyOf`) → digest of what the program declared for it. */
  digests: z.record(z.string(), z.string()),
});

export type DeclarationRecord = z.output<typeof declarationRecord>;

export function keyOf({ type, name }: { readonly type: string; readonly name: string }): string {
  return `${type}::${name}`;
}

import type { Call } from "../../../rehearsal/fake-plugins/plugin.ts";

/** A call that remembers what the user was told. */
export function newCall(
  change: Partial<Call> = {},
): Call & { readonly statuses: string[]; readonly warnings: string[] } {
  const statuses: string[] = [];
  const warnings: string[] = [];

  return {
    name: "subject",
    preview: false,
    signal: new AbortController().signal,
    status: (message) => statuses.push(message),
    warn: (message) => warnings.push(message),
    statuses,
    warnings,
    ...change,
  };
}

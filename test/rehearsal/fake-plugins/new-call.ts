import type { Call } from "../../../rehearsal/fake-plugins/plugin.ts";

/** A call that remembers the progress it reports. */
export function newCall(change: Partial<Call> = {}): Call & { readonly statuses: string[] } {
  const statuses: string[] = [];
  return {
    name: "subject",
    preview: false,
    signal: new AbortController().signal,
    status: (message) => statuses.push(message),
    statuses,
    ...change,
  };
}

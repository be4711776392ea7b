/** Which finding explains another one, or a gap, and which comes first. */
import { POLICY_PACK } from "../../common/policy-pack.ts";
import { nameOf } from "../../common/urn.ts";
import { identify } from "../../stacks/inventory.ts";
import type { StateResource } from "../engine/state.ts";
import type { Difference } from "./differences.ts";
import type { Unchecked } from "./report.ts";

/** Gives the name of the resource whose difference keeps another one from being read or from being as it should be. */
export type FindCause = (urn: string) => string | undefined;

/** `resources`: all of the state. */
export function causesAmong(
  differences: readonly Difference[],
  resources: readonly StateResource[],
): FindCause {
  const stopped = new Map<string, { readonly resource: string; readonly hides: "dependents" | "docker" }>();
  for (const difference of differences) {
    const hides = identify(difference.urn).row.hides?.(difference);
    if (hides && !stopped.has(difference.urn))
      stopped.set(difference.urn, { resource: difference.resource, hides });
  }
  const dockerd = [...stopped.values()].find(({ hides }) => hides === "docker");
  const graph = new Map(resources.map((resource) => [resource.urn, resource]));

  return (urn) => {
    const reached = new Set([urn]);
    for (const current of reached) {
      // While Docker runs nothing, nothing of Docker's can be read, nor what is read through it, whatever depends on what.
      if (dockerd && graph.get(current)?.type.startsWith("docker:") === true) return dockerd.resource;
      const found = current === urn ? undefined : stopped.get(current);
      if (found) return found.resource;
      for (const dependency of graph.get(current)?.dependencies ?? []) reached.add(dependency);
    }
    return undefined;
  };
}

/** What could not be read, and which finding explains it. What failed for the same reason is named together. */
export function readUnchecked(unreadable: ReadonlyMap<string, string>, causeOf: FindCause): Unchecked[] {
  const gaps = new Map<string, Unchecked>();
  for (const [urn, said] of unreadable) {
    const reason = `${said}${remedyOf(urn, said)}`;
    const because = causeOf(urn);
    const key = `${because ?? ""}\n${reason}`;
    const others = gaps.get(key)?.what;
    const what = others === undefined ? nameOf(urn) : `${others}, ${nameOf(urn)}`;
    gaps.set(key, { what, reason, ...(because === undefined ? {} : { because }) });
  }
  return [...gaps.values()];
}

/** OVH's plugin reads a key's secret, and takes a key that somebody deleted for a failure, so no refresh and no repair gets past it. */
function remedyOf(urn: string, said: string): string {
  if (!urn.includes(":S3Credential::") || !/\b404\b/.test(said)) return "";
  const stack = urn.split(":")[2] ?? "";
  return `; somebody deleted this key at OVHcloud: npx pulumi up --replace '${urn}' --stack ${stack} --policy-pack ${POLICY_PACK} makes another one, with the rights of the set-up (docs/accounts.md)`;
}

/** Gives for each resource how many others it is made from, one after the other: what comes first can be the cause. */
export function ranksOf(resources: readonly StateResource[]): (urn: string) => number {
  const ranks = new Map<string, number>();
  // The state lists each resource after those that it depends on.
  for (const { urn, dependencies } of resources) {
    ranks.set(urn, Math.max(-1, ...(dependencies ?? []).map((one) => ranks.get(one) ?? 0)) + 1);
  }
  return (urn) => ranks.get(urn) ?? 0;
}

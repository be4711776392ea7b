/** What could not be read, and which finding explains it. */
import type { Difference } from "./differences.ts";
import type { Unchecked } from "./finding.ts";
import { nameOf } from "../../common/urn.ts";
import { identify } from "../../stacks/inventory.ts";
import type { StateResource } from "../engine/state.ts";

export interface UncheckedRequest {
  /** URN of what could not be read → why. */
  readonly unreadable: ReadonlyMap<string, string>;
  readonly differences: readonly Difference[];

  /** All of the state. */
  readonly resources: readonly StateResource[];
}

/** What failed for the same reason is named together. */
export function readUnchecked({ unreadable, differences, resources }: UncheckedRequest): Unchecked[] {
  const stopped = differences.flatMap((difference) => {
    const hidden = identify(difference.urn).row.hides?.(difference);
    return hidden === undefined ? [] : [{ urn: difference.urn, resource: difference.resource, hidden }];
  });
  const graph = new Map(resources.map((resource) => [resource.urn, resource]));
  const groups = new Map<string, { readonly unchecked: Unchecked; readonly names: string[] }>();
  for (const [urn, reason] of unreadable) {
    const because = causeOf(urn, { stopped, graph });
    const key = `${because ?? ""}\n${reason}`;
    const group = groups.get(key) ?? {
      unchecked: { what: "", reason, ...(because === undefined ? {} : { because }) },
      names: [],
    };
    group.names.push(nameOf(urn));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ unchecked, names }) => ({ ...unchecked, what: names.join(", ") }));
}

interface Stopped {
  readonly urn: string;
  readonly resource: string;
  readonly hidden: "dependents" | "docker";
}

function causeOf(
  urn: string,
  {
    stopped,
    graph,
  }: { readonly stopped: readonly Stopped[]; readonly graph: ReadonlyMap<string, StateResource> },
): string | undefined {
  // While dockerd is down, nothing of Docker's can be read, whatever depends on what.
  const isOfDocker = graph.get(urn)?.type.startsWith("docker:") === true;
  const dockerd = stopped.find(({ hidden }) => hidden === "docker");
  if (isOfDocker && dockerd) return dockerd.resource;
  const seen = new Set<string>();
  const next = [urn];
  for (let current = next.shift(); current !== undefined; current = next.shift()) {
    const found = current === urn ? undefined : stopped.find((one) => one.urn === current);
    if (found) return found.resource;
    if (seen.has(current)) continue;
    seen.add(current);
    next.push(...(graph.get(current)?.dependencies ?? []));
  }
  return undefined;
}

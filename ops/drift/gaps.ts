/** What could not be looked at, and whether something that was found explains it. */
import type { Difference } from "./differences.ts";
import type { Gap } from "./finding.ts";
import { nameOf } from "../../common/urn.ts";
import { identify } from "../../stacks/inventory.ts";
import type { StateResource } from "../engine/state.ts";

/** `unread`: URN → why. What failed for one reason is named together. */
export function readGaps(
  unread: ReadonlyMap<string, string>,
  differences: readonly Difference[],
  all: readonly StateResource[],
): Gap[] {
  const stopped = differences.flatMap((difference) => {
    const hidden = identify(difference.urn).row.hides?.(difference);
    return hidden === undefined ? [] : [{ urn: difference.urn, resource: difference.resource, hidden }];
  });
  const graph = new Map(all.map((resource) => [resource.urn, resource]));
  const groups = new Map<string, { readonly gap: Gap; readonly names: string[] }>();
  for (const [urn, reason] of unread) {
    const because = causeOf(urn, stopped, graph);
    const key = `${because ?? ""}\n${reason}`;
    const group = groups.get(key) ?? {
      gap: { what: "", reason, ...(because === undefined ? {} : { because }) },
      names: [],
    };
    group.names.push(nameOf(urn));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ gap, names }) => ({ ...gap, what: names.join(", ") }));
}

interface Stopped {
  readonly urn: string;
  readonly resource: string;
  readonly hidden: "dependents" | "docker";
}

function causeOf(
  urn: string,
  stopped: readonly Stopped[],
  graph: ReadonlyMap<string, StateResource>,
): string | undefined {
  // While dockerd is down nothing of Docker's can be read, whatever was made before what.
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

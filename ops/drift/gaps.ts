/** What could not be looked at, and whether something that was found explains it. */
import type { Difference } from "./differences.ts";
import type { Gap } from "./finding.ts";
import { nameOf } from "../../common/urn.ts";
import type { StateResource } from "../engine/state.ts";

/** `unread`: URN → why. What failed for one reason is named together. */
export function readGaps(
  unread: ReadonlyMap<string, string>,
  differences: readonly Difference[],
  all: readonly StateResource[],
): Gap[] {
  const stopped = new Map(differences.filter(stopsOthers).map(({ urn, resource }) => [urn, resource]));
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

/** Others are read through it: a unit, a container or a service that does not run as it should. */
function stopsOthers({ type, kind, what }: Difference): boolean {
  if (/^docker:index\/(service|container|network):/.test(type)) return true;
  if (kind === "extra") return what === "docker does not answer";
  return type === "technicia:host:Unit" && what === "active";
}

function causeOf(
  urn: string,
  stopped: ReadonlyMap<string, string>,
  graph: ReadonlyMap<string, StateResource>,
): string | undefined {
  // While dockerd is down nothing of Docker's can be read, whatever was made before what.
  const isOfDocker = graph.get(urn)?.type.startsWith("docker:") === true;
  const dockerd = [...stopped].find(([, resource]) => /^(host-docker|extra-containers)$/.test(resource));
  if (isOfDocker && dockerd) return dockerd[1];
  const seen = new Set<string>();
  const next = [urn];
  for (let current = next.shift(); current !== undefined; current = next.shift()) {
    const found = current === urn ? undefined : stopped.get(current);
    if (found !== undefined) return found;
    if (seen.has(current)) continue;
    seen.add(current);
    next.push(...(graph.get(current)?.dependencies ?? []));
  }
  return undefined;
}

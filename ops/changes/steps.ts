/** What the engine would do, one step per resource; a replacement is one step, although the engine reports three events. */
import type { EngineEvent, ResourceState, StepMetadata } from "../engine/events.ts";
import { identify, type Identity } from "../../stacks/inventory.ts";

export const kinds = ["create", "import", "update", "replace", "delete", "forget", "same"] as const;

export type Kind = (typeof kinds)[number];

export interface Step extends Identity {
  readonly urn: string;
  readonly kind: Kind;
  readonly before: ResourceState | undefined;
  readonly after: ResourceState | undefined;
  /** The outputs that the provider predicts. */
  readonly foreseen: Readonly<Record<string, unknown>>;
  /** Properties that force a replacement. */
  readonly replaceKeys: readonly string[];
  /** Properties that differ; empty where the provider does not say. */
  readonly changedKeys: readonly string[];
  readonly detail: NonNullable<StepMetadata["detailedDiff"]>;
}

/** Of several events about one resource the strongest decides what happens to it. */
const KIND_OF_OPERATION: Readonly<Record<string, Kind>> = {
  create: "create",
  import: "import",
  update: "update",
  same: "same",
  delete: "delete",
  "delete-replaced": "delete",
  replace: "replace",
  "create-replacement": "replace",
  "import-replacement": "replace",
};

const STRENGTH: readonly Kind[] = ["same", "import", "create", "update", "delete", "forget", "replace"];

export function readSteps(events: readonly EngineEvent[]): Step[] {
  const steps = new Map<string, Step>();
  for (const { resourcePreEvent } of events) {
    if (!resourcePreEvent) continue;
    const { metadata } = resourcePreEvent;
    const kind = kindOf(metadata);
    const known = steps.get(metadata.urn);
    // The stack itself is no resource to users.
    if (kind === undefined || metadata.type === "pulumi:pulumi:Stack") continue;
    if (known && STRENGTH.indexOf(known.kind) >= STRENGTH.indexOf(kind)) continue;
    steps.set(metadata.urn, {
      ...identify(metadata.urn),
      urn: metadata.urn,
      kind,
      before: metadata.old ?? undefined,
      after: metadata.new ?? undefined,
      foreseen: {},
      replaceKeys: metadata.keys ?? [],
      changedKeys: metadata.diffs ?? [],
      detail: metadata.detailedDiff ?? {},
    });
  }
  for (const { resOutputsEvent } of events) {
    const metadata = resOutputsEvent?.metadata;
    const step = metadata && steps.get(metadata.urn);
    const outputs = metadata?.new?.outputs;
    if (step && outputs && Object.keys(outputs).length > 0) {
      steps.set(step.urn, { ...step, foreseen: outputs });
    }
  }
  return [...steps.values()];
}

function kindOf({ op, old }: StepMetadata): Kind | undefined {
  const kind = KIND_OF_OPERATION[op];
  return kind === "delete" && old?.retainOnDelete === true ? "forget" : kind;
}

/** Paths of the properties that differ, as the provider says it; empty where it does not. */
export function pathsSaid({ detail, changedKeys, replaceKeys }: Step): string[] {
  const detailed = Object.keys(detail);
  return detailed.length > 0 ? detailed : [...new Set([...changedKeys, ...replaceKeys])];
}

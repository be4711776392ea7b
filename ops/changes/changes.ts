/** The engine's events as plain data: what changes, where, from what to what. */
import { nameOf } from "../../common/urn.ts";
import type { EngineEvent } from "../engine/events.ts";
import { layers, type Layer } from "../../stacks/resource-kinds.ts";
import { describeProperties, type PropertyChange } from "./properties.ts";
import { kinds, readSteps, type Kind, type Step } from "./steps.ts";

export interface Change {
  readonly layer: Layer;
  readonly label: string;
  readonly name: string;
  readonly kind: Exclude<Kind, "same">;
  readonly properties: readonly PropertyChange[];
}

export interface Message {
  readonly severity: "error" | "warning" | "info";
  /** Name of the resource that it is about; empty for none. */
  readonly resource: string;
  readonly text: string;
}

export interface Changes {
  /** Without components; by layer, then in the engine's order. */
  readonly changes: readonly Change[];
  /** How many resources each kind of change affects. */
  readonly counts: Readonly<Record<Kind, number>>;
  readonly messages: readonly Message[];
  readonly steps: readonly Step[];
}

export function readChanges(events: readonly EngineEvent[]): Changes {
  const steps = readSteps(events);
  const changes = steps.flatMap((step) => {
    const { kind, name, row } = step;
    // A component's own resources are listed.
    if (kind === "same" || !(step.after ?? step.before)?.custom) return [];
    return [{ layer: row.layer, label: row.label, name, kind, properties: describeProperties(step) }];
  });
  return {
    changes: layers.flatMap((layer) => changes.filter((change) => change.layer === layer)),
    counts: Object.fromEntries(
      kinds.map((kind) => [kind, steps.filter((step) => step.kind === kind).length]),
    ) as Record<Kind, number>,
    messages: readMessages(events),
    steps,
  };
}

const SEVERITIES = ["error", "warning", "info"] as const;

function readMessages(events: readonly EngineEvent[]): Message[] {
  const messages = events.flatMap(({ diagnosticEvent }) => {
    if (!diagnosticEvent) return [];
    const severity = SEVERITIES.find((known) => diagnosticEvent.severity.startsWith(known));
    const text = diagnosticEvent.message.trim();
    const resource = nameOf(diagnosticEvent.urn);
    return severity === undefined || text === "" ? [] : [{ severity, resource, text }];
  });
  const unique = new Map(messages.map((message) => [JSON.stringify(message), message]));
  return [...unique.values()];
}

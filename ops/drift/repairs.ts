import { identify } from "../../stacks/inventory.ts";
import type { Effect } from "../../stacks/resource-kinds.ts";
import type { Difference } from "./differences.ts";
import { effectOfExtra } from "./extra-lines.ts";

/** What repairing a difference does, and what it interrupts. */
export function effectOf(difference: Difference): Effect {
  if (difference.kind === "extra") return effectOfExtra(difference.what);
  const { effect } = identify(difference.urn).row;
  return typeof effect === "function" ? effect(difference) : effect;
}

import { commandsFor } from "../../stacks/config-command.ts";
import type { Fleet, Member } from "../fleet/fleet.ts";
import { entriesOf } from "./lists.ts";

/**
 * What a person types to give a server's entry another machine, a line each. The labels stay with the entry, and so does everything that follows from
 * its name: the address in the tunnel, the keys, the resources.
 */
export function replacement(fleet: Fleet, { name }: Member): string[] {
  const { set, remove } = commandsFor(fleet.stack);
  const entries = entriesOf(fleet);
  const index = entries.findIndex((entry) => entry.name === name);
  const entry = entries[index];
  if (entry === undefined) return [];
  const path = ["servers", index];
  if (entry["order"] === undefined)
    return [`  ${set([...path, "serviceName"], "<name of the other machine>")}`];
  return [
    `  ${set([...path, "order", "again"], "<name of the lost one>")}     # orders another one; or, for a machine that you have:`,
    `  ${remove([...path, "order"])} && ${set([...path, "serviceName"], "<name of the other machine>")}`,
  ];
}

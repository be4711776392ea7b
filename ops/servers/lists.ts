/** Other lists of servers than the deployed one: whether the rules accept them, and what they survive. */
import { stringify } from "yaml";

import { NAMESPACE } from "../../secrets/catalog.ts";
import { commandsFor } from "../../stacks/config-command.ts";
import type { Environment } from "../../stacks/environment.ts";
import { parseSettings, settingsIn } from "../../stacks/settings.ts";
import type { Fleet } from "../fleet/fleet.ts";

/** One entry of `technicia:servers`, as the settings file has it. */
export type Entry = Readonly<Record<string, unknown>> & { readonly name: string };

/** The settings as the file has them now, without secrets. */
export function settingsOf({
  configuration,
}: Pick<Fleet, "configuration">): Readonly<Record<string, unknown>> {
  const plain = Object.entries(configuration).flatMap(([key, { secret, value }]) =>
    secret || value === undefined ? [] : [[key, value] as const],
  );
  return settingsIn(Object.fromEntries(plain));
}

/** The list of the settings file; empty where it has none. */
export function entriesOf(fleet: Pick<Fleet, "configuration">): readonly Entry[] {
  const { servers } = settingsOf(fleet);
  return Array.isArray(servers) ? (servers as readonly Entry[]) : [];
}

/** The environment with another list; throws a `SettingsError` with what the rules say of it. */
export function withServers(fleet: Fleet, servers: readonly Entry[]): Environment {
  const { server, ...settings } = settingsOf(fleet) as {
    readonly server?: Readonly<Record<string, unknown>>;
  };
  const shared = Object.entries(server ?? {}).filter(([name]) => name !== "serviceName" && name !== "order");
  const given =
    servers.length === 0
      ? { ...settings, server }
      : { ...settings, server: Object.fromEntries(shared), servers };
  return parseSettings(fleet.stack, given);
}

/** The list as the settings file is to have it. */
export function renderEntries(servers: readonly Entry[]): string {
  return stringify(
    { [`${NAMESPACE}:servers`]: servers },
    { lineWidth: 0, aliasDuplicateObjects: false },
  ).trimEnd();
}

/** The command that takes an entry out of the list. */
export function removal({ stack }: Pick<Fleet, "stack">, index: number): string {
  return commandsFor(stack).remove(["servers", index]);
}

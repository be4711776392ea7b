/** A stack's settings for the operator's commands: read with the CLI, checked by the program's own schema. */
import { createHash } from "node:crypto";

import { z } from "zod";

import { isSecretName } from "../secrets/catalog.ts";
import type { Environment } from "../stacks/environment.ts";
import type { Pulumi } from "./pulumi.ts";
import { UserError } from "./user-error.ts";

const configuration = z.record(z.string(), z.object({ secret: z.boolean(), value: z.string().optional() }));

/** The settings as the program would read them; no secret passes through here. */
export async function readEnvironment(stack: string, pulumi: Pulumi): Promise<Environment> {
  const entries = configuration.parse(
    JSON.parse(await pulumi({ args: ["config", "--json", "--stack", stack] })),
  );
  const inClear = Object.entries(entries).flatMap(([key, { secret, value }]) =>
    secret || value === undefined ? [] : [[key, value] as const],
  );
  // The program's reader brings Pulumi's SDK, which takes a second to load: commands without settings do not wait for it.
  const { parseSettings, settingsIn, SettingsError } = await import("../stacks/settings.ts");
  try {
    return parseSettings(stack, settingsIn(Object.fromEntries(inClear)));
  } catch (error) {
    throw error instanceof SettingsError ? new UserError(error.message, { cause: error }) : error;
  }
}

/**
 * The secrets that are set, in clear, for checks that call with them. They stay in memory: whoever reads them neither prints them nor puts
 * them on a command line.
 */
export async function readSecretSettings(
  stack: string,
  pulumi: Pulumi,
): Promise<Readonly<Record<string, string>>> {
  const printed = await pulumi({ args: ["config", "--show-secrets", "--json", "--stack", stack] });
  return Object.fromEntries(
    Object.entries(configuration.parse(JSON.parse(printed))).flatMap(([key, { secret, value }]) => {
      const name = key.replace(/^technicia:/, "");
      return secret && isSecretName(name) && value ? [[name, value] as const] : [];
    }),
  );
}

/** SHA-256 of the settings, whatever the order of their keys. */
export function hashSettings(environment: Environment): string {
  return createHash("sha256")
    .update(JSON.stringify(environment, (_key, value: unknown) => sorted(value)))
    .digest("hex");
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

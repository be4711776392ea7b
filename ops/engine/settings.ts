/** A stack's settings for the operator's commands: read with the CLI, checked by the program's own schema. */
import { createHash } from "node:crypto";

import { z } from "zod";

import { isSecretName, NAMESPACE, ROTATION } from "../../secrets/catalog.ts";
import { hiddenValues, parseRotation, valuesInEffect, type Rotation } from "../../secrets/rotation.ts";
import type { Environment } from "../../stacks/environment.ts";
import { parseSettings, settingsIn } from "../../stacks/settings.ts";
import { parsePrinted, type Pulumi } from "./cli.ts";

const configuration = z.record(
  z.string(),
  z.object({ secret: z.boolean(), value: z.string().optional(), objectValue: z.unknown().optional() }),
);

/** What `pulumi config --json` prints: key with its namespace → value. */
export type Configuration = z.output<typeof configuration>;

/** `configFile`: a settings file other than the stack's own. Without `showSecrets`, secrets have no value. */
export async function readConfiguration(
  request: {
    readonly stack: string;
    readonly configFile?: string | undefined;
    readonly showSecrets?: boolean;
  },
  pulumi: Pulumi,
): Promise<Configuration> {
  const { stack, configFile, showSecrets = false } = request;
  const options = [
    ...(showSecrets ? ["--show-secrets"] : []),
    ...["--json", "--stack", stack],
    ...(configFile === undefined ? [] : ["--config-file", configFile]),
  ];
  return parsePrinted("pulumi config --json", await pulumi({ args: ["config", ...options] }), configuration);
}

/** A stack's settings, and the secrets that are set, in clear. */
export interface Settings {
  readonly environment: Environment;

  /** They stay in memory: whoever reads them neither prints them nor puts them on a command line. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** The settings as the program would read them; no secret passes through here. */
export async function readEnvironment(stack: string, pulumi: Pulumi): Promise<Environment> {
  return environmentIn(stack, await readConfiguration({ stack }, pulumi));
}

/** The same with the secrets, for checks that call with them. */
export async function readSettings(stack: string, pulumi: Pulumi): Promise<Settings> {
  const entries = await readConfiguration({ stack, showSecrets: true }, pulumi);
  return { environment: environmentIn(stack, entries), secrets: secretsIn(entries) };
}

/** The settings in what the CLI printed. */
export function environmentIn(stack: string, entries: Configuration): Environment {
  const inClear = Object.entries(entries).flatMap(([key, { secret, value }]) =>
    secret || value === undefined ? [] : [[key, value] as const],
  );
  return parseSettings(stack, settingsIn(Object.fromEntries(inClear)));
}

/** The secrets as they are in effect; while one is rotated also its old and its new value, under names that are no secret's, to be hidden. */
export function secretsIn(entries: Configuration): Record<string, string> {
  const { values, rotation } = storedSecrets(entries);
  return { ...valuesInEffect(values, rotation), ...hiddenValues(values, rotation) };
}

/** The secrets as the settings file has them, and the rotation that is under way. */
export function storedSecrets(entries: Configuration): {
  readonly values: Readonly<Record<string, string>>;
  readonly rotation: Rotation | undefined;
} {
  const values = Object.fromEntries(
    Object.entries(entries).flatMap(([key, { secret, value }]) => {
      const name = key.replace(/^technicia:/, "");
      return secret && isSecretName(name) && value ? [[name, value] as const] : [];
    }),
  );
  return { values, rotation: parseRotation(entries[`${NAMESPACE}:${ROTATION}`]?.value) };
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

/** A rotation in the stack's configuration: each write is one call of the CLI, and the values are on its standard input. */
import { NAMESPACE, ROTATION, type SecretName } from "../../secrets/catalog.ts";
import { renderRotation, type Rotation } from "../../secrets/rotation.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Operator } from "../deploy/session.ts";
import type { Pulumi } from "../engine/cli.ts";
import { settingsFile, withSettings } from "../engine/settings-file.ts";
import { environmentIn, readConfiguration, storedSecrets } from "../engine/settings.ts";

export interface Stored {
  readonly environment: Environment;

  /** As the settings file has them: the old ones, while a rotation is under way. */
  readonly values: Readonly<Record<string, string>>;
  readonly rotation: Rotation | undefined;
}

export async function readStored(stack: string, pulumi: Pulumi): Promise<Stored> {
  const entries = await readConfiguration({ stack, showSecrets: true }, pulumi);
  return { environment: environmentIn(stack, entries), ...storedSecrets(entries) };
}

type Target = Pick<Operator, "pulumi"> & { readonly stack: string };

export async function writeSecret(
  { name, value }: { readonly name: SecretName | typeof ROTATION; readonly value: string },
  { stack, pulumi }: Target,
): Promise<void> {
  await pulumi({
    args: ["config", "set", "--secret", `${NAMESPACE}:${name}`, "--stack", stack],
    input: value,
  });
}

/** Undefined: there is none any more. */
export async function writeRotation(rotation: Rotation | undefined, target: Target): Promise<void> {
  if (rotation !== undefined)
    return await writeSecret({ name: ROTATION, value: renderRotation(rotation) }, target);
  await target.pulumi({ args: ["config", "rm", `${NAMESPACE}:${ROTATION}`, "--stack", target.stack] });
}

/** The settings file without a rotation; what is encrypted in it stays as it is. */
export function withoutRotation(stack: string, text: string): string {
  return withSettings({ path: settingsFile(stack), text }, { [ROTATION]: undefined });
}

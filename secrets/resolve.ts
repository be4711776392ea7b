/** Reads the stack's secrets as Outputs, or throws one error that names every missing and every unusable one. */
import * as pulumi from "@pulumi/pulumi";

import { UserError } from "../common/user-error.ts";
import { entryOf, NAMESPACE, requiredSecrets, ROTATION, secretNames, type SecretName } from "./catalog.ts";
import type { SecretsContext } from "./entry.ts";
import { acceptedValues, parseRotation, rotatedNames, valuesInEffect, type Rotation } from "./rotation.ts";
import { weaknessOf } from "./weakness.ts";

export interface Secrets {
  /** The value of a secret that this environment needs; encrypted wherever the engine writes it. */
  readonly value: (name: SecretName) => pulumi.Output<string>;
  /** The values with which it is accepted: two while it is rotated, else one. For who checks it, and never for who sends it. */
  readonly accepted: (name: SecretName) => pulumi.Output<string>[];
  readonly has: (name: SecretName) => boolean;
  /** Every value in clear, for calls that the program itself makes; never for a resource. */
  readonly inClear: () => Readonly<Record<string, string>>;
  readonly configured: ReadonlySet<SecretName>;
}

/** Every problem of a stack's secrets in one message, without a value. */
export class SecretsError extends UserError {
  override readonly name = "SecretsError";

  constructor(stack: string, problems: readonly string[]) {
    super(
      `the secrets of stack "${stack}" have problems:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
  }
}

/** The secrets of the running program's stack. */
export function resolveSecrets(context: SecretsContext): Secrets {
  const configuration = pulumi.runtime.allConfig();
  const values = new Map<SecretName, string>();
  for (const name of secretNames) {
    // Pulumi.yaml gives an undeclared secret the empty default.
    const value = configuration[`${NAMESPACE}:${name}`];
    if (value) values.set(name, value);
  }
  const stack = pulumi.getStack();
  const rotation = parseRotation(configuration[`${NAMESPACE}:${ROTATION}`]);
  const problems = secretProblems({ stack, context, values, rotation, encrypted: encryptedKeys() });
  if (problems.length > 0) throw new SecretsError(stack, problems);

  const stored: Readonly<Partial<Record<SecretName, string>>> = Object.fromEntries(values);
  const inEffect = valuesInEffect(stored, rotation);
  const value = (name: SecretName) => {
    const text = inEffect[name];
    if (text === undefined) throw new Error(`secrets.${name}: expected a secret that this environment has`);
    return pulumi.secret(text);
  };
  return {
    configured: new Set(values.keys()),
    has: (name) => values.has(name),
    inClear: () => inEffect,
    value,
    accepted: (name) => [
      // Fails where the environment lacks it.
      ...(stored[name] === undefined ? [value(name)] : []),
      ...acceptedValues(name, { values: stored, rotation }).map((text) => pulumi.secret(text)),
    ],
  };
}

export interface GivenSecrets {
  readonly stack: string;
  readonly context: SecretsContext;
  readonly values: ReadonlyMap<SecretName, string>;
  /** The rotation that is under way. */
  readonly rotation?: Rotation | undefined;
  /** Configuration keys that are encrypted in the stack's settings. */
  readonly encrypted: ReadonlySet<string>;
}

/** Every problem of the given secrets, one line each, without any value. */
export function secretProblems({ stack, context, values, rotation, encrypted }: GivenSecrets): string[] {
  const configured = new Set(values.keys());
  const problems: string[] = [];

  for (const name of requiredSecrets(context, configured)) {
    if (configured.has(name)) continue;
    const { description, givenBy } = entryOf(name);
    const remedy = givenBy === "us" ? `or let npm run secrets -- ${stack} --init make it` : description;
    problems.push(
      `${NAMESPACE}:${name}: expected a value, got nothing; set it with ${setCommand(stack, name)} (${remedy})`,
    );
  }
  for (const [name, value] of values) {
    const set = `set another with ${setCommand(stack, name)}`;
    const weakness = weaknessOf(name, value);
    if (weakness) problems.push(`${NAMESPACE}:${name}: ${weakness}; ${set}`);
    if (!encrypted.has(`${NAMESPACE}:${name}`)) {
      problems.push(
        `${NAMESPACE}:${name}: expected an encrypted value, got one in clear, which has to count as known; ${set}`,
      );
    }
    const twin = [...values].find(([other, otherValue]) => other !== name && otherValue === value)?.[0];
    if (twin && secretNames.indexOf(twin) < secretNames.indexOf(name)) {
      problems.push(
        `${NAMESPACE}:${name}: expected a value of its own, got that of ${NAMESPACE}:${twin}; ${set}`,
      );
    }
  }
  problems.push(...rotationProblems({ stack, rotation, encrypted }));
  if (configured.has("ovhApplicationKey") && configured.has("ovhClientId")) {
    problems.push(
      `${NAMESPACE}:ovhClientId: expected one way to reach OVHcloud, got two; ` +
        `remove one, for example with pulumi config rm ${NAMESPACE}:ovhApplicationKey --stack ${stack}`,
    );
  }
  return problems;
}

function rotationProblems({
  stack,
  rotation,
  encrypted,
}: Pick<GivenSecrets, "stack" | "rotation" | "encrypted">): string[] {
  if (rotation === undefined) return [];
  const key = `${NAMESPACE}:${ROTATION}`;
  const undo = `undo it with npm run secrets -- ${stack} rotate ${rotatedNames(rotation)[0] ?? "<name>"} --undo`;
  const clear = encrypted.has(key)
    ? []
    : [`${key}: expected an encrypted value, got one in clear, which has to count as known; ${undo}`];
  const weak = rotatedNames(rotation).flatMap((name) => {
    const weakness = weaknessOf(name, rotation.values[name]!);
    return weakness === undefined ? [] : [`${key}: ${name}: ${weakness}; ${undo}`];
  });
  return [...clear, ...weak];
}

function setCommand(stack: string, name: SecretName): string {
  return name === "googleCredentials"
    ? `pulumi config set --secret ${NAMESPACE}:${name} --stack ${stack} < key.json`
    : `pulumi config set --secret ${NAMESPACE}:${name} --stack ${stack}`;
}

// The SDK has this function but does not declare its type.
function encryptedKeys(): Set<string> {
  const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };
  return new Set([...secretNames, ROTATION].map((name) => `${NAMESPACE}:${name}`).filter(isConfigSecret));
}

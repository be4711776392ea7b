/**
 * A rotation that is under way: which secrets change, how far it is, and their next values. It is one secret of the stack, so that each step is
 * one write, and the old values stay in their places until the end.
 */
import { z } from "zod";

import { UserError } from "../common/user-error.ts";
import { isSecretName, NAMESPACE, ROTATION, secretNames, type SecretName } from "./catalog.ts";

/**
 * `accept`: who checks the secret takes both values, and its readers use the old one. `switch`: its readers use the new one.
 * `remove`: the old one is taken no more.
 */
export const rotationSteps = ["accept", "switch", "remove"] as const;

export type RotationStep = (typeof rotationSteps)[number];

const shape = z.strictObject({
  step: z.enum(rotationSteps),

  /** Whether the step is deployed and verified. */
  isDone: z.boolean(),

  /** Secret → next value. */
  values: z.record(z.string().refine(isSecretName), z.string().min(1)),
});

export interface Rotation {
  readonly step: RotationStep;
  readonly isDone: boolean;
  readonly values: Readonly<Partial<Record<SecretName, string>>>;
}

/** What the stack's configuration says of a rotation; undefined or empty: there is none. The error never has a value. */
export function parseRotation(text: string | undefined): Rotation | undefined {
  if (!text) return undefined;
  try {
    return shape.parse(JSON.parse(text));
  } catch {
    throw new UserError(
      `${NAMESPACE}:${ROTATION}: expected what npm run secrets -- <stack> rotate writes, got something else; ` +
        `take Pulumi.<stack>.yaml from git, or remove it with pulumi config rm ${NAMESPACE}:${ROTATION}`,
    );
  }
}

export function renderRotation(rotation: Rotation): string {
  return JSON.stringify(shape.parse(rotation));
}

export function rotatedNames({ values }: Rotation): SecretName[] {
  return secretNames.filter((name) => values[name] !== undefined);
}

type Values = Readonly<Partial<Record<SecretName, string>>>;

/** The values that readers use now. */
export function valuesInEffect(values: Values, rotation: Rotation | undefined): Values {
  return rotation === undefined || rotation.step === "accept" ? values : { ...values, ...rotation.values };
}

/**
 * The values with which a secret is accepted now, at most two. Their order is the same before and after the readers change, so that only who checks them
 * changes at the first and at the last step, and only the readers between.
 */
export function acceptedValues(
  name: SecretName,
  { values, rotation }: { readonly values: Values; readonly rotation: Rotation | undefined },
): string[] {
  const [old, next] = [values[name], rotation?.values[name]];
  const all = rotation?.step === "remove" && next !== undefined ? [next] : [old, next];
  return [...new Set(all.filter((value) => value !== undefined))];
}

/** Every value of a rotation, old and new, to be hidden in what is printed; under names that are no secret's. */
export function hiddenValues(values: Values, rotation: Rotation | undefined): Record<string, string> {
  if (rotation === undefined) return {};
  return Object.fromEntries(
    rotatedNames(rotation).flatMap((name) => [
      ...(values[name] === undefined ? [] : [[`old:${name}`, values[name]] as const]),
      [`new:${name}`, rotation.values[name]!] as const,
    ]),
  );
}

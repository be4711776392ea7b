import { isDeepStrictEqual } from "node:util";

import { hasUnknown } from "../../provider/plugin/wire.ts";
import type { Change, Failure, Properties, Value } from "./plugin.ts";

/** One input of a resource that Pulumi's bridge takes from a Terraform provider. */
export interface Field {
  readonly required?: boolean;

  /** Whether another value replaces the resource. */
  readonly replace?: boolean;

  /** Value when the program sets none. */
  readonly fallback?: Value;

  /** Whether the service chooses a value when the program sets none. */
  readonly computed?: boolean;

  /** Whether two values mean the same. The first is that of the state. */
  readonly isSame?: (old: Value, fresh: Value, state: Properties) => boolean;

  /** Reason why the value is invalid. */
  readonly refuse?: (value: Value) => string | undefined;
}

export type Fields = Readonly<Record<string, Field>>;

/** Finds unknown, missing and invalid inputs. */
export function checkFields(fields: Fields, inputs: Properties): Failure[] {
  const failures: Failure[] = [];

  for (const [property, value] of Object.entries(inputs)) {
    const field = fields[property];
    // The bridge keeps data of its own among the inputs.
    if (property === "__defaults") {
      continue;
    }
    const reason =
      field === undefined
        ? "the rehearsal's plugin does not have this input"
        : hasUnknown(value)
          ? undefined
          : field.refuse?.(value);
    if (reason !== undefined) {
      failures.push({ property, reason });
    }
  }
  for (const [property, field] of Object.entries(fields)) {
    if (field.required === true && (inputs[property] ?? null) === null) {
      failures.push({ property, reason: "missing required property" });
    }
  }
  return failures;
}

/** Differences as Terraform plans them: between the inputs and the state. */
export function diffFields(fields: Fields, state: Properties, inputs: Properties): Change[] {
  return Object.entries(fields).flatMap(([property, field]): Change[] => {
    const old = state[property];
    const fresh = inputs[property] ?? field.fallback;
    const replace = field.replace === true;

    if (isEmpty(fresh)) {
      return isEmpty(old) || field.computed === true ? [] : [{ property, kind: "delete", replace }];
    }
    if (isEmpty(old)) {
      return [{ property, kind: "add", replace }];
    }
    return isSame(field, old!, fresh!, state) ? [] : [{ property, kind: "update", replace }];
  });
}

/** Inputs that describe what a read found, in the program's own spelling where that means the same. */
export function readInputs(fields: Fields, state: Properties, inputs: Properties): Properties {
  const isImport = Object.keys(inputs).length === 0;
  const names = isImport ? Object.keys(fields) : Object.keys(inputs);

  return Object.fromEntries(
    names.flatMap((name): [string, Value][] => {
      const [field, found, given] = [fields[name], state[name], inputs[name]];
      if (field === undefined || found === undefined || (isImport && field.computed === true)) {
        return given === undefined ? [] : [[name, given]];
      }
      return [[name, given !== undefined && isSame(field, found, given, state) ? given : found]];
    }),
  );
}

/** Properties without those that have no value. */
export function compact(properties: Readonly<Record<string, Value | undefined>>): Properties {
  return Object.fromEntries(
    Object.entries(properties).filter((entry): entry is [string, Value] => (entry[1] ?? null) !== null),
  );
}

function isSame(field: Field, old: Value, fresh: Value, state: Properties): boolean {
  return !hasUnknown(fresh) && (isDeepStrictEqual(old, fresh) || field.isSame?.(old, fresh, state) === true);
}

// Terraform's older SDK treats an empty string as no value.
function isEmpty(value: Value | undefined): boolean {
  return value === undefined || value === null || value === "";
}

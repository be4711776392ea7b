/** Converts between a resource in the engine's state and in its definition. */
import { differences } from "./diff.ts";
import type { AnyDefinition, Existing } from "./definition.ts";
import { stringsIn } from "../../common/redactor.ts";
import { hasUnknown, secretNames, UNKNOWN, type Path, type Properties } from "./wire.ts";

export type Values = Record<string, unknown>;

/** A resource for its definition. */
export function existingOf(
  definition: AnyDefinition,
  { id, inputs, state }: { readonly id: string; readonly inputs: Properties; readonly state: Properties },
): Existing<Values, Values> {
  const names: readonly string[] = definition.outputs;
  const outputs = Object.fromEntries(
    names.map((name) => [name, state.values[name]] as const).filter(([, value]) => value !== undefined),
  );
  return { id, inputs: inputs.values, outputs };
}

/** Inputs from the state, for an engine that does not keep them separately. */
export function inputsOf(definition: AnyDefinition, state: Properties): Properties {
  const names = new Set(Object.keys(definition.schema.shape));
  return {
    values: Object.fromEntries(Object.entries(state.values).filter(([name]) => names.has(name))),
    secrets: state.secrets.filter(([name]) => names.has(String(name))),
  };
}

/** The state to keep: inputs and outputs, with secrets marked. */
export function stateOf(definition: AnyDefinition, inputs: Properties, outputs: Values): Properties {
  const secretOutputs = definition.secretOutputs?.(outputs, secretNames(inputs.secrets)) ?? [];
  return {
    values: { ...inputs.values, ...outputs },
    secrets: [
      ...inputs.secrets.filter(([name]) => !(String(name) in outputs)),
      ...outputSecrets(inputs, outputs, secretOutputs),
    ],
  };
}

// An output with the name of an input, such as a server's service name, is at least as secret as the input.
function outputSecrets(inputs: Properties, outputs: Values, secretOutputs: readonly string[]): Path[] {
  const inherited = [...secretNames(inputs.secrets)].filter((name) => name in outputs);
  return [...new Set([...inherited, ...secretOutputs])]
    .filter((name) => outputs[name] !== undefined)
    .map((name) => [name]);
}

/** The state during a preview, with unknown outputs marked. */
export function previewState(definition: AnyDefinition, inputs: Properties, outputs: Values): Properties {
  const { values, secrets } = stateOf(definition, inputs, outputs);
  const unknown = definition.outputs
    .filter((name) => !(name in outputs))
    .map((name) => [name, UNKNOWN] as const);
  return { values: { ...values, ...Object.fromEntries(unknown) }, secrets };
}

/** The values without unknown parts. */
export function known(values: Readonly<Values>): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !hasUnknown(value)));
}

/**
 * Values that derive from others and are as secret as those.
 *
 * When a secret has moved inside its property, the whole property is secret.
 */
export function derivedFrom(origin: Properties, values: Values): Properties {
  const names = [...secretNames(origin.secrets)].filter((name) => values[name] !== undefined);
  const secrets = names.flatMap((name) => {
    const isSame = differences({ it: origin.values[name] }, { it: values[name] }).length === 0;
    return isSame ? origin.secrets.filter(([root]) => root === name) : [[name]];
  });
  return { values, secrets };
}

/** All texts that must stay hidden. */
export function secretTexts(properties: Properties): string[] {
  return properties.secrets.flatMap((path) => stringsIn(at(properties.values, path)));
}

function at(values: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) => (inner as Record<string | number, unknown> | undefined)?.[part],
    values,
  );
}

/** Arguments of a connection without the version that the engine adds. */
export function withoutVersion(properties: Properties): Properties {
  const values = Object.fromEntries(Object.entries(properties.values).filter(([name]) => name !== "version"));
  return { values, secrets: properties.secrets.filter(([name]) => name !== "version") };
}

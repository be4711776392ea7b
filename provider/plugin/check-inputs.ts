/** Checks inputs and reports every problem at once, without the values of secrets. */
import type { z } from "zod";
import { hasUnknown, isSecret, UNKNOWN, type Path, type Properties } from "./wire.ts";

/** Returns the inputs with defaults and in normal form; unknown and wrong parts are unchanged. */
export function check(
  shape: Readonly<Record<string, z.ZodType>>,
  inputs: Properties,
): { values: Record<string, unknown>; problems: string[] } {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];

  for (const key of Object.keys(inputs.values)) {
    if (!(key in shape)) problems.push(unknownProperty([], key, Object.keys(shape)));
  }
  for (const [key, schema] of Object.entries(shape)) {
    const given = inputs.values[key];
    if (given === UNKNOWN) {
      values[key] = given;
      continue;
    }
    const result = schema.safeParse(given, { error: expectation });
    if (result.success) {
      values[key] = result.data;
      continue;
    }
    values[key] = given;
    problems.push(...result.error.issues.flatMap((issue) => describe(issue, key, inputs)));
  }
  return { values: withoutUndefined(values), problems };
}

function describe(issue: z.core.$ZodIssue, property: string, inputs: Properties): string[] {
  const path: Path = [
    property,
    ...issue.path.map((part) => (typeof part === "number" ? part : String(part))),
  ];
  const got = at(inputs.values, path);
  if (hasUnknown(got)) return [];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownProperty(path, key, []));
  if (issue.code === "invalid_key") {
    // The key is wrong, not the value under it.
    const words = issue.issues.map(({ message }) => message).join(" and ");
    return [`${show(path)}: expected ${words}, got ${JSON.stringify(path.at(-1))}`];
  }
  const [expected = "", ...advice] = issue.message.split("; ");
  const hint = advice.length > 0 ? `; ${advice.join("; ")}` : "";
  return [
    `${show(path)}: expected ${expected}, got ${showValue(got, isSecret(path, inputs.secrets))}${hint}`,
  ];
}

// The expectation, where the schema has no message of its own.
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return withArticle(issue.expected);
    case "invalid_value":
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_small":
      return `at least ${issue.minimum}${issue.origin === "string" ? " characters" : issue.origin === "array" ? " items" : ""}`;
    case "too_big":
      return `at most ${issue.maximum}${issue.origin === "string" ? " characters" : issue.origin === "array" ? " items" : ""}`;
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    default:
      return undefined;
  }
}

function withArticle(type: string): string {
  const name = type === "int" ? "integer" : type === "record" ? "map" : type === "array" ? "list" : type;
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

function unknownProperty(path: Path, key: string, known: readonly string[]): string {
  const names = known.length > 0 ? `; known are ${[...known].sort().join(", ")}` : "";
  return `${show([...path, key])}: unknown property${names}`;
}

function show(path: Path): string {
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`))
    .join("");
}

function showValue(value: unknown, secret: boolean): string {
  if (value === undefined || value === null) return "nothing";
  if (secret) return "a secret value";
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) =>
      inner === undefined || inner === null ? inner : (inner as Record<string | number, unknown>)[part],
    value,
  );
}

function withoutUndefined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

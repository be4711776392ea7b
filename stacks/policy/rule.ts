/** What a rule of the policy pack is. Rules are pure: they see one resource as the engine is about to create or update it. */
import type { SecretName } from "../../secrets/catalog.ts";
import type { Environment } from "../environment.ts";
import type { ExceptedRule } from "../policy-schema.ts";

/** A value that is marked as a secret; a rule compares what it holds, and never prints it. */
export class Sealed {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }

  toJSON(): string {
    return "[secret]";
  }
}

/** A value that only an update knows. */
export const UNKNOWN: unique symbol = Symbol("unknown");

export type Inputs = Readonly<Record<string, unknown>>;

export interface Resource {
  readonly urn: string;
  readonly type: string;

  /** Logical name. */
  readonly name: string;

  /** Secrets are `Sealed`, and what is not known yet is `UNKNOWN`. */
  readonly inputs: Inputs;
  readonly protect: boolean;
  readonly deleteBeforeReplace: boolean;
}

/** What the rules know besides resources. */
export interface Facts {
  /** Undefined where the settings have problems; the program then fails and names them. */
  readonly environment: Environment | undefined;

  /** Values of the stack's secrets. */
  readonly secrets: readonly (readonly [name: SecretName, value: string])[];
  readonly now: Date;
}

/** `mandatory` stops a preview and an update; `advisory` is only shown. */
export type Level = "mandatory" | "advisory";

export interface Rule {
  readonly name: string;

  /** One sentence: what holds where the rule is kept. */
  readonly description: string;
  readonly level: Level;

  /** Name in `policy.exceptions`, where the settings may except from it. */
  readonly exceptedAs?: ExceptedRule;

  /** Violations, each `path: expected …; what to do`, without any value. */
  readonly judge?: (resource: Resource, facts: Facts) => readonly string[];

  /** Judges all resources together, once a preview or an update has seen them all. */
  readonly judgeAll?: (resources: readonly Resource[], facts: Facts) => readonly string[];
}

/** What is at a dotted path. Undefined where there is nothing, and a secret where it is inside one. */
export function at(inputs: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, key) => {
    if (inner === UNKNOWN || inner instanceof Sealed) return inner;
    return (inner as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  }, inputs);
}

/** The list at a path; empty where there is none or it is not known yet. */
export function listAt(inputs: unknown, path: string): readonly unknown[] {
  const found = at(inputs, path);
  return Array.isArray(found) ? (found as unknown[]) : [];
}

/** The text at a path; undefined for what is no text, is a secret, or is not known yet. */
export function textAt(inputs: unknown, path: string): string | undefined {
  const found = at(inputs, path);
  return typeof found === "string" ? found : undefined;
}

/** The number at a path; not a number (`NaN`) for everything else. */
export function numberAt(inputs: unknown, path: string): number {
  const found = at(inputs, path);
  return typeof found === "number" ? found : NaN;
}

export function isUnknown(value: unknown): boolean {
  return value === UNKNOWN;
}

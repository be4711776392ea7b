/** What a stand-in plugin is made of. Values are as they travel: plain JSON. */

export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };
export type Properties = Readonly<Record<string, Value>>;

/** How the engine writes a value that only an update will know. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** One input that cannot be right. */
export interface Failure {
  readonly property: string;
  readonly reason: string;
}

/** How one property differs from the state. */
export interface Change {
  readonly property: string;
  readonly kind: "add" | "delete" | "update";
  readonly replace: boolean;
}

/** A resource as the state has it. */
export interface Existing {
  readonly id: string;

  /** Inputs and outputs together, as the last operation returned them. */
  readonly state: Properties;
}

/** What every operation is told beside its own values. */
export interface Call {
  /** Name that the program gave the resource. */
  readonly name: string;

  /** Whether only the outcome is asked for. */
  readonly preview: boolean;

  /** Aborted when the user cancels. */
  readonly signal: AbortSignal;

  /** Shown beside the resource while it is worked on. */
  readonly status: (message: string) => void;

  /** Shown and kept. */
  readonly warn: (message: string) => void;
}

/** One type of resource. */
export interface ResourceType {
  readonly check: (inputs: Properties) => readonly Failure[];
  readonly diff: (existing: Existing, inputs: Properties) => readonly Change[];
  readonly create: (call: Call, inputs: Properties) => Promise<Existing>;

  /** What is there now; undefined when it is gone. Inputs are those that describe it. */
  readonly read: (
    call: Call,
    existing: Existing,
    inputs: Properties,
  ) => Promise<(Existing & { readonly inputs: Properties }) | undefined>;

  /** Gives the new state. */
  readonly update: (call: Call, existing: Existing, inputs: Properties) => Promise<Properties>;
  readonly delete: (call: Call, existing: Existing) => Promise<void>;
}

/** One stand-in plugin. */
export interface Plugin {
  readonly name: string;

  /** That of the SDK: the engine warns about any other. */
  readonly version: string;

  /** Judges the provider's arguments, in previews too. */
  readonly checkConfig?: (config: Properties) => readonly Failure[];

  /** Gives the types of resource, by token, ready to work with this configuration. */
  readonly configure: (
    config: Properties,
    signal: AbortSignal,
  ) => Promise<Readonly<Record<string, ResourceType>>>;
}

/** Whether two values are the same; the order of an object's keys does not matter. */
export function isEqual(a: Value | undefined, b: Value | undefined): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return a === b;
  }
  if (Array.isArray(a) !== Array.isArray(b)) {
    return false;
  }

  const [left, right] = [Object.entries(a), Object.entries(b)];
  return left.length === right.length && left.every(([key, value]) => isEqual(value, (b as Properties)[key]));
}

/** Whether anything in it will only be known by an update. */
export function hasUnknown(value: Value | undefined): boolean {
  return typeof value === "object" && value !== null
    ? Object.values(value).some(hasUnknown)
    : value === UNKNOWN;
}

/** A value as text; the empty text when there is none. */
export function textOf(value: Value | undefined): string {
  if (value === undefined || value === null) {
    return "";
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

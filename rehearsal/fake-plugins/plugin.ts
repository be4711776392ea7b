/** What a fake plugin consists of. */

/** Plain JSON; the one symbol is the provider's `UNKNOWN`, for what only an update will know. */
export type Value =
  null | boolean | number | string | symbol | readonly Value[] | { readonly [key: string]: Value };
export type Properties = Readonly<Record<string, Value>>;

/** One invalid input. */
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

/** What every operation gets besides its own values. */
export interface Call {
  /** Name that the program gave the resource. */
  readonly name: string;

  /** Whether this is a preview, which must change nothing. */
  readonly preview: boolean;

  /** Aborted when the user cancels. */
  readonly signal: AbortSignal;

  /** Shows progress next to the resource. */
  readonly status: (message: string) => void;
}

/** One type of resource. */
export interface ResourceType {
  readonly check: (inputs: Properties) => readonly Failure[];
  readonly diff: (existing: Existing, inputs: Properties) => readonly Change[];
  readonly create: (call: Call, inputs: Properties) => Promise<Existing>;

  /** The actual state, with inputs that describe it; undefined when it is gone. */
  readonly read: (
    call: Call,
    existing: Existing,
    inputs: Properties,
  ) => Promise<(Existing & { readonly inputs: Properties }) | undefined>;

  /** Returns the new state. */
  readonly update: (call: Call, existing: Existing, inputs: Properties) => Promise<Properties>;
  readonly delete: (call: Call, existing: Existing) => Promise<void>;
}

/** One fake plugin. */
export interface Plugin {
  readonly name: string;

  /** The version of the SDK; the engine warns about any other. */
  readonly version: string;

  /** Checks the provider's arguments, in previews too. */
  readonly checkConfig?: (config: Properties) => readonly Failure[];

  /** Returns the resource types by token, ready to work with this configuration. */
  readonly configure: (
    config: Properties,
    signal: AbortSignal,
  ) => Promise<Readonly<Record<string, ResourceType>>>;
}

/** A value as text; the empty text when there is none. */
export function textOf(value: Value | undefined): string {
  if (value === undefined || value === null) {
    return "";
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The definition of one kind of resource: its token, its schema and its operations. The server handles the rest of the protocol. */
import type { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Host } from "../ssh/host.ts";

/** Arguments of the program's `Connection`, as strings; an absent one is undefined. */
export interface Settings {
  readonly hostAddress?: string | undefined;
  readonly hostPort?: string | undefined;
  readonly hostUser?: string | undefined;
  readonly hostPrivateKeyFile?: string | undefined;
  readonly hostKey?: string | undefined;
  readonly serverId?: string | undefined;
  readonly ovhEndpoint?: string | undefined;
  readonly ovhApplicationKey?: string | undefined;
  readonly ovhApplicationSecret?: string | undefined;
  readonly ovhConsumerKey?: string | undefined;
  readonly ovhClientId?: string | undefined;
  readonly ovhClientSecret?: string | undefined;
}

/** Messages to the user about one resource, without the secrets of the call. */
export interface Log {
  /** Stays on the screen and in the log. */
  readonly info: (message: string) => void;
  readonly warning: (message: string) => void;
  readonly debug: (message: string) => void;
  /** One line of progress; the next one replaces it. */
  readonly status: (message: string) => void;
}

/** What every operation gets besides its own values. */
export interface Call {
  readonly urn: string;
  readonly settings: Settings;
  /** The host of the connection. It connects on first use and fails when `hostAddress` is not set. */
  readonly host: Host;
  readonly log: Log;
  /** Aborted when the user cancels or `timeoutSeconds` are over. Everything that waits must watch it. */
  readonly signal: AbortSignal;
  /** The user's time limit (`customTimeouts`); undefined without one. */
  readonly timeoutSeconds: number | undefined;
  /** Names of the inputs that are or contain secrets. */
  readonly secretInputs: ReadonlySet<string>;
  /** Hides this value, too, in everything that this call logs or fails with. */
  readonly hide: (secret: string) => void;
}

/** A resource as the state has it. */
export interface Existing<Inputs, Outputs> {
  readonly id: string;
  readonly inputs: Inputs;
  readonly outputs: Outputs;
}

/** What `read` found. */
export interface Found<Inputs, Outputs> extends Existing<Inputs, Outputs> {
  /** Names of inputs that must be secret although no earlier state says so, as on import. */
  readonly secretInputs?: readonly string[];
}

/** One difference that the inputs alone do not show. */
export interface Change {
  /** Property path, such as `rules[3].port`. */
  readonly path: string;
  readonly replace?: boolean;
}

/**
 * One kind of resource.
 *
 * The outputs do not repeat the inputs; in the state, the server adds the inputs to them and keeps secrets secret. An error that the user can
 * fix is a `UserError`; any other is reported as a bug of the provider, with its stack.
 */
export interface ResourceDefinition<Inputs extends object, Outputs extends object> {
  /** `technicia:<folder>:<Class>`. */
  readonly token: string;

  /**
   * Strict shape of the inputs, with defaults and normal forms. A message of a rule continues "expected …", and after a semicolon says what
   * to do: `"an absolute path; write it from the root"`. Parts that are unknown during a preview are not checked.
   */
  readonly schema: z.ZodType<Inputs> & { readonly shape: Readonly<Record<string, z.ZodType>> };

  /** Checks the inputs together, once all are known and each is valid. Returns sentences like `order: expected …, got …; what to do`. */
  readonly checkTogether?: (inputs: Inputs) => readonly string[];

  /** Names of all outputs. A preview shows those that it does not know as unknown. */
  readonly outputs: readonly (keyof Outputs & string)[];

  /** Which outputs are secret. @default none */
  readonly secretOutputs?: (
    outputs: Partial<Outputs>,
    secretInputs: ReadonlySet<string>,
  ) => readonly (keyof Outputs & string)[];

  /** Inputs whose change replaces the resource. */
  readonly replaceOn: readonly (keyof Inputs & string)[];

  /** Whether the old one must be deleted before the new one is created. */
  readonly deleteBeforeReplace?: boolean;

  /**
   * Differences beyond those between old and new inputs, which the server finds itself. May throw, to refuse a change already in the preview.
   * Inputs that are unknown are absent from `news`.
   */
  readonly diff?: (existing: Existing<Inputs, Outputs>, news: Partial<Inputs>) => readonly Change[];

  /**
   * Outputs that a preview knows; absent ones are unknown. `existing` is undefined before a creation, and unknown inputs are absent.
   *
   * @default no output is known before a creation, and an update changes none
   */
  readonly preview?: (
    call: Call,
    inputs: Partial<Inputs>,
    existing: Existing<Inputs, Outputs> | undefined,
  ) => Promise<Partial<Outputs>> | Partial<Outputs>;

  readonly create: (
    call: Call,
    inputs: Inputs,
  ) => Promise<{ readonly id: string; readonly outputs: Outputs }>;

  /**
   * The actual state, with inputs that describe it. Null when the resource is gone. On import only the id is known and the rest is empty.
   */
  readonly read: (
    call: Call,
    known: Existing<Partial<Inputs>, Partial<Outputs>>,
  ) => Promise<Found<Inputs, Outputs> | null>;

  /** Applies the new inputs. Also called without any difference after an earlier attempt failed half-way. */
  readonly update: (call: Call, existing: Existing<Inputs, Outputs>, news: Inputs) => Promise<Outputs>;

  readonly delete: (call: Call, existing: Existing<Inputs, Outputs>) => Promise<void>;
}

/** Any kind of resource, for the server, which never reads the values. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the one type that every definition is assignable to
export type AnyDefinition = ResourceDefinition<any, any>;

/**
 * A failure of `create` or `update` after something was changed: the state keeps the id and the outputs, and the next `pulumi up` calls `update`.
 */
export class PartialFailure extends UserError {
  override readonly name = "PartialFailure";
  readonly id: string;
  readonly outputs: object;

  constructor(
    message: string,
    kept: { readonly id: string; readonly outputs: object; readonly cause?: unknown },
  ) {
    super(message, { cause: kept.cause });
    this.id = kept.id;
    this.outputs = kept.outputs;
  }
}

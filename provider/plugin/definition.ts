/** What one kind of resource is to the server: a token, a schema, and what to do. The server does everything the engine wants beside that. */
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

/** Messages to the person at the terminal, about one resource. Secrets of the call are taken out of them. */
export interface Log {
  /** What stays on the screen and in the log. */
  readonly info: (message: string) => void;
  readonly warning: (message: string) => void;
  readonly debug: (message: string) => void;
  /** One line of progress; the next one takes its place. */
  readonly status: (message: string) => void;
}

/** What every operation is given beside its own values. */
export interface Call {
  readonly urn: string;
  readonly settings: Settings;
  /** The host of the connection; connects when first used, and refuses when `hostAddress` is not set. */
  readonly host: Host;
  readonly log: Log;
  /** Aborted when the user cancels or the time the user allowed is over. Everything that waits must heed it. */
  readonly signal: AbortSignal;
  /** Time the user allowed (`customTimeouts`); undefined when nothing was said. */
  readonly timeoutSeconds: number | undefined;
  /** Names of the inputs that are or contain secrets. */
  readonly secretInputs: ReadonlySet<string>;
  /** Takes this value out of whatever this call logs or fails with, beside the secret inputs and settings. */
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
 * Outputs are what is known beside the inputs; the server adds the inputs to them in the state, secret where they were. An error that the
 * user can do something about is a `UserError`; any other is reported as a fault of ours, with its stack.
 */
export interface ResourceDefinition<Inputs extends object, Outputs extends object> {
  /** `technicia:<folder>:<Class>`. */
  readonly token: string;

  /**
   * Strict shape of the inputs, with defaults and normal forms. A message of a rule continues "expected …", and after a semicolon says what
   * to do: `"an absolute path; write it from the root"`. Parts that are unknown during a preview are not judged.
   */
  readonly schema: z.ZodType<Inputs> & { readonly shape: Readonly<Record<string, z.ZodType>> };

  /** Judges inputs together, once all are known and each is right by itself. Gives sentences like `order: expected …, got …; what to do`. */
  readonly checkTogether?: (inputs: Inputs) => readonly string[];

  /** Names of all outputs: those that a preview cannot know are shown as unknown. */
  readonly outputs: readonly (keyof Outputs & string)[];

  /** Which outputs are secret. Not given: none. */
  readonly secretOutputs?: (
    outputs: Partial<Outputs>,
    secretInputs: ReadonlySet<string>,
  ) => readonly (keyof Outputs & string)[];

  /** Inputs whose change means another resource. */
  readonly replaceOn: readonly (keyof Inputs & string)[];

  /** Whether the old one must be gone before the new one can be made. */
  readonly deleteBeforeReplace?: boolean;

  /**
   * Differences beyond those between old and new inputs, which the server finds by itself. May throw to refuse a change in the preview already.
   * Inputs that are unknown are absent from `news`.
   */
  readonly diff?: (existing: Existing<Inputs, Outputs>, news: Partial<Inputs>) => readonly Change[];

  /**
   * Outputs that are known before anything is done; those absent are unknown. `existing` is undefined for a resource to be created, and inputs
   * that are unknown are absent. Not given: nothing is known on creation, and everything stays as it is on update.
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
   * What is there now: inputs as they would have to be to describe it. Null when it is gone. On import only the id is known and the rest is empty.
   */
  readonly read: (
    call: Call,
    known: Existing<Partial<Inputs>, Partial<Outputs>>,
  ) => Promise<Found<Inputs, Outputs> | null>;

  /** Makes it so. Also called without any difference when an earlier attempt failed half-way. */
  readonly update: (call: Call, existing: Existing<Inputs, Outputs>, news: Inputs) => Promise<Outputs>;

  readonly delete: (call: Call, existing: Existing<Inputs, Outputs>) => Promise<void>;
}

/** Any kind of resource, for the server, which never looks inside the values. */
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

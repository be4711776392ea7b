/** What the engine wrote to `--event-log`: only what is used here; all else in it is ignored. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";

const properties = z.record(z.string(), z.unknown()).nullish();

/** A resource before or after a step. The engine has put `[secret]` in place of every secret. */
const resourceState = z.object({
  /** Whether it is a thing, and not a component that only groups things. */
  custom: z.boolean().default(false),
  protect: z.boolean().default(false),
  retainOnDelete: z.boolean().default(false),
  inputs: properties.transform((value) => value ?? {}),
  outputs: properties.transform((value) => value ?? {}),
});

const metadata = z.object({
  op: z.string(),
  urn: z.string(),
  type: z.string(),
  old: resourceState.nullish(),
  new: resourceState.nullish(),
  /** Properties that force a replacement. */
  keys: z.array(z.string()).nullish(),
  /** Properties that differ, where the provider tells no details. */
  diffs: z.array(z.string()).nullish(),
  detailedDiff: z.record(z.string(), z.object({ diffKind: z.string(), inputDiff: z.boolean() })).nullish(),
});

const event = z.object({
  resourcePreEvent: z.object({ metadata }).optional(),
  resOutputsEvent: z.object({ metadata }).optional(),
  diagnosticEvent: z
    .object({ urn: z.string().default(""), severity: z.string(), message: z.string() })
    .optional(),
  summaryEvent: z.object({ resourceChanges: z.record(z.string(), z.number()).nullish() }).optional(),
});

export type ResourceState = z.output<typeof resourceState>;
export type StepMetadata = z.output<typeof metadata>;
export type EngineEvent = z.output<typeof event>;

/** Reads one event a line; a last line that a killed engine did not finish is left out. */
export function readEvents(log: string): EngineEvent[] {
  const lines = log.split("\n");
  const unfinished = lines.pop();
  const whole = unfinished !== undefined && isJson(unfinished) ? [...lines, unfinished] : lines;
  return whole.flatMap((line, index) => (line.trim() === "" ? [] : [readEvent(line, index + 1)]));
}

function readEvent(line: string, number: number): EngineEvent {
  // The line itself may hold anything, so it is not repeated in the error.
  if (!isJson(line)) {
    throw new UserError(`event log line ${number}: expected JSON of the engine, got something else`);
  }
  const { data, error } = event.safeParse(JSON.parse(line));
  if (error) {
    const problems = error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new UserError(
      `event log line ${number}: expected an event of the engine, got another form (${problems.join("; ")}); ` +
        "use the version of the Pulumi CLI that package.json names",
    );
  }
  return data;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

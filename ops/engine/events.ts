/** The engine's `--event-log`. Only the fields that are used here are read. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";

const properties = z.record(z.string(), z.unknown()).nullish();

/** A resource before or after a step. The engine has put `[secret]` in place of every secret. */
const resourceState = z.object({
  /** False for a component, which only groups resources. */
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
  /** Properties that differ, where the provider gives no details. */
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

/** Reads one event per line, without a last line that a killed engine did not finish. */
export function readEvents(log: string): EngineEvent[] {
  const lines = log.split("\n");
  const unfinished = lines.pop();
  const whole = unfinished !== undefined && isJson(unfinished) ? [...lines, unfinished] : lines;
  return whole.flatMap((line, index) => (line.trim() === "" ? [] : [readEvent(line, index + 1)]));
}

function readEvent(line: string, number: number): EngineEvent {
  // The line may contain a secret, so the error does not repeat it.
  if (!isJson(line)) {
    throw new UserError(
      `event log line ${number}: not JSON of the engine; use the version of the Pulumi CLI that package.json names`,
    );
  }
  const { data, error } = event.safeParse(JSON.parse(line));
  if (error) {
    const problems = error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new UserError(
      `event log line ${number}: not an event of the engine (${problems.join("; ")}); ` +
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

/** Runs a command of the engine with its `--event-log`, of which only the fields that are used here are read. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { z } from "zod";

import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { PolicyFailure, PulumiFailure, type Pulumi, type PulumiCall } from "./cli.ts";

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
  /** `--json` of the CLI has no such event. */
  policyEvent: z
    .object({
      resourceUrn: z.string().default(""),
      message: z.string(),
      policyName: z.string(),
      enforcementLevel: z.string(),
    })
    .optional(),
  summaryEvent: z.object({ resourceChanges: z.record(z.string(), z.number()).nullish() }).optional(),
});

export type ResourceState = z.output<typeof resourceState>;
export type StepMetadata = z.output<typeof metadata>;
export type EngineEvent = z.output<typeof event>;

/** `log`: one event a line, empty when the engine failed before it began; `failure`: undefined when the command succeeded. */
export function runEngine({
  pulumi,
  args,
  ...options
}: Pick<PulumiCall, "args" | "onLine" | "signal" | "environment"> & { readonly pulumi: Pulumi }) {
  // The log of a preview shows secrets in clear: nobody else may read the folder, and it is deleted afterwards.
  return inPrivateFolder(async (folder) => {
    const file = join(folder, "events.jsonl");
    // Without the variable the CLI has no --event-log.
    const environment = { ...options.environment, PULUMI_DEBUG_COMMANDS: "true" };
    try {
      const stdout = await pulumi({ ...options, args: [...args, "--event-log", file], environment });
      return { stdout, log: await readLog(file), failure: undefined };
    } catch (error) {
      if (!(error instanceof PulumiFailure)) throw error;
      const log = await readLog(file);
      return { stdout: error.stdout, log, failure: explainPolicies(error, log) };
    }
  });
}

/** A rule of the policy pack that something breaks. */
export interface Violation {
  readonly rule: string;

  /** Whether it stops the preview or the update. */
  readonly refuses: boolean;

  /** Name of the resource; empty for the environment as a whole. */
  readonly resource: string;
  readonly text: string;
}

/** Each violation once, also where a preview and the update after it both found it; what refuses comes first. */
export function readViolations(events: readonly EngineEvent[]): Violation[] {
  const found = events.flatMap(({ policyEvent }): Violation[] =>
    policyEvent === undefined
      ? []
      : [
          {
            rule: policyEvent.policyName,
            refuses: policyEvent.enforcementLevel === "mandatory",
            resource: nameOf(policyEvent.resourceUrn),
            // The engine marks colours, whatever --color says.
            text: policyEvent.message.replace(/<\{%.*?%\}>/g, "").trim(),
          },
        ],
  );
  const unique = [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
  return [...unique.filter(({ refuses }) => refuses), ...unique.filter(({ refuses }) => !refuses)];
}

/** What the CLI prints of a broken rule is no error line. */
function explainPolicies(failure: PulumiFailure, log: string): PulumiFailure {
  if (failure.constructor !== PulumiFailure) return failure;
  const refusing = violationsIn(log).filter(({ refuses }) => refuses);
  if (refusing.length === 0) return failure;
  return new PolicyFailure(refusing.map(describeViolation), failure);
}

function violationsIn(log: string): Violation[] {
  try {
    return readViolations(readEvents(log));
  } catch (error) {
    // A log that cannot be read must not hide why the engine failed.
    if (error instanceof UserError) return [];
    throw error;
  }
}

/** On one line: the engine puts the rule's description above what is wrong. */
function describeViolation({ rule, resource, text }: Violation): string {
  return [rule, resource, text.replaceAll("\n", " ")].filter((part) => part !== "").join(": ");
}

/** Works in a folder that only this user can read. */
export async function inPrivateFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readLog(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

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

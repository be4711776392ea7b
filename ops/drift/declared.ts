/**
 * What the program declares with the settings of the last deployment, against what the state says of it.
 *
 * A refresh compares what exists with the state. Whoever refreshes, imports, or repairs in vain makes the state agree with what exists; the
 * program does not follow.
 */
import { isDeepStrictEqual } from "node:util";

import { z } from "zod";

import { DECLARATION_TYPE, keyOf, type DeclarationRecord } from "../../stacks/declaration-record.ts";
import { at, hasUnknown, isMarkedSecret, parsePath } from "../changes/properties.ts";
import { pathsSaid, readSteps, type Step } from "../changes/steps.ts";
import type { Pulumi } from "../engine/cli.ts";
import {
  readEvents,
  runEngine,
  type EngineEvent,
  type ResourceState,
  type StepMetadata,
} from "../engine/events.ts";
import type { DeployedSettings } from "./deployed-settings.ts";
import { put } from "./differences.ts";
import type { Unchecked } from "./report.ts";

export interface Declared {
  /** Resources that the state does not have as they were declared. */
  readonly altered: readonly Step[];

  /** Names of resources that the program declares otherwise than at the last deployment. */
  readonly pending: readonly string[];

  /** Why it is not known what the program declares. */
  readonly gap: Unchecked | undefined;
}

const WHAT = "what the program declares";

const currentRecord = z.object({ basis: z.string(), digests: z.record(z.string(), z.unknown()) });

/** Runs the program, which reads nothing of what exists. */
export async function readDeclared({ stack, record, settings }: Request, pulumi: Pulumi): Promise<Declared> {
  if (record === undefined) {
    const reason = `the deployment is older than this check and recorded nothing to compare with; deploy it once more with npm run deploy -- ${stack}`;
    return { altered: [], pending: [], gap: { what: WHAT, reason } };
  }
  const { log, failure } = await settings.during((options) =>
    runEngine({ pulumi, args: ["preview", "--color", "never", ...options, "--stack", stack] }),
  );
  const events = readEvents(log);
  const current = currentRecordIn(events);
  const reason = failure?.errors.join("\n") ?? "the program did not say what it declares";
  const look = `see npm run preview -- ${stack}`;
  const gap =
    failure === undefined && current !== undefined ? undefined : { what: WHAT, reason: `${reason}; ${look}` };
  const changed = readSteps(events).filter(
    ({ kind, type, before, after }) =>
      kind !== "same" && (after ?? before)?.custom === true && !type.startsWith("pulumi:"),
  );
  const isPending = (step: Step) => current === undefined || isOtherwise(step, { record, current });
  return {
    altered: changed.filter((step) => !isPending(step)),
    pending: current === undefined ? [] : changed.filter(isPending).map(({ name }) => name),
    gap,
  };
}

interface Request {
  readonly stack: string;
  readonly record: DeclarationRecord | undefined;
  readonly settings: DeployedSettings;
}

type CurrentRecord = z.output<typeof currentRecord>;

function currentRecordIn(events: readonly EngineEvent[]): CurrentRecord | undefined {
  const outputs = events.flatMap(({ resOutputsEvent }) =>
    resOutputsEvent?.metadata.type === DECLARATION_TYPE ? [resOutputsEvent.metadata.new?.outputs] : [],
  );
  return currentRecord.safeParse(outputs.at(-1)).data;
}

/** Whether the program declares the resource otherwise than at the last deployment. */
function isOtherwise(
  { type, name }: Step,
  { record, current }: { readonly record: DeclarationRecord; readonly current: CurrentRecord },
): boolean {
  if (record.basis === current.basis) return false;
  const [then, now] = [record, current].map(({ digests }) => digests[keyOf({ type, name })]);
  // Not known: it is made of something that the state has lost.
  return !hasUnknown(now) && then !== now;
}

/** The steps of a refresh, with what was declared in place of what the state says. */
export function compareWithDeclared(
  steps: readonly StepMetadata[],
  altered: readonly Step[],
): StepMetadata[] {
  const read = new Map(steps.map((step) => [step.urn, step]));
  for (const step of altered) {
    const compared = compare(step, read.get(step.urn));
    if (compared) read.set(step.urn, compared);
  }
  return [...read.values()];
}

function compare(step: Step, read: StepMetadata | undefined): StepMetadata | undefined {
  const { urn, type, kind, before, after } = step;
  if (kind === "create" && after) return { op: "create", urn, type, old: after };
  // What could not be read is a gap.
  if (!read) return undefined;
  if (kind === "delete" || kind === "forget") return { ...read, op: "unclaimed", old: before };
  if (!after || !read.old) return read;
  const isGone = !read.new || read.op === "delete";
  if (isGone) return { ...read, old: { ...read.old, inputs: after.inputs } };
  return type.startsWith("technicia:")
    ? compareInputs(step, read, { declared: after, found: read.new! })
    : compareProperties(step, read, { declared: after, found: read.new! });
}

interface Sides {
  readonly declared: ResourceState;
  readonly found: ResourceState;
}

/** Our own provider reads inputs as they are declared. */
function compareInputs(step: Step, read: StepMetadata, { declared, found }: Sides): StepMetadata {
  const said = new Set([...pathsSaid(step), ...pathsRead(read)].map((path) => String(parsePath(path)[0])));
  const inputs = { ...declared.inputs };
  const differing = [...new Set([...Object.keys(inputs), ...Object.keys(found.inputs)])].filter((key) => {
    if (!hasUnknown(inputs[key])) return differs(inputs[key], found.inputs[key], said.has(key));
    inputs[key] = found.inputs[key];
    return false;
  });
  // A state that has taken a difference in has it in its outputs, too, where it would count as known.
  const outputs: Record<string, unknown> = { ...read.old?.outputs };
  for (const key of differing) put(outputs, [key], inputs[key]);
  return asUpdate(read, { ...declared, inputs, outputs }, differing);
}

/** Other providers read back outputs, and say themselves which differ from what is declared. */
function compareProperties(step: Step, read: StepMetadata, { declared, found }: Sides): StepMetadata {
  const outputs = structuredClone(read.old?.outputs ?? {});
  const own = pathsSaid(step).filter((path) => !hasUnknown(at(declared.inputs, parsePath(path))));
  for (const path of own) put(outputs, parsePath(path), at(declared.inputs, parsePath(path)));
  const differing = [...new Set([...own, ...pathsRead(read)])].filter((path) => {
    const segments = parsePath(path);
    const now = at(found.outputs, segments) ?? at(found.inputs, segments);
    return differs(at(outputs, segments), now, true);
  });
  return asUpdate(read, { ...declared, outputs }, differing);
}

/** Two masks look alike: whether the secrets behind them differ only the engine can say. */
function differs(declared: unknown, found: unknown, isSaid: boolean): boolean {
  if (!isDeepStrictEqual(declared ?? undefined, found ?? undefined)) return true;
  return isSaid && hasMask(declared);
}

function hasMask(value: unknown): boolean {
  if (isMarkedSecret(value)) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(hasMask);
}

function asUpdate(read: StepMetadata, old: ResourceState, differing: readonly string[]): StepMetadata {
  const detail = differing.map((path) => [path, { diffKind: "update", inputDiff: true }] as const);
  const op = differing.length === 0 ? "same" : "update";
  return { ...read, op, old, diffs: null, detailedDiff: Object.fromEntries(detail) };
}

function pathsRead({ detailedDiff, diffs }: StepMetadata): string[] {
  const detailed = Object.keys(detailedDiff ?? {});
  return detailed.length > 0 ? detailed : [...(diffs ?? [])];
}

/** The engine's part of a deployment: an update, and what is known when it fails. */
import { readChanges } from "../changes/changes.ts";
import { readEvents } from "../engine/events.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import type { Pulumi } from "../engine/cli.ts";
import { runEngine } from "../engine/run.ts";
import { UserError } from "../../common/user-error.ts";

const ERROR_LINES = 12;

export interface Plan {
  /** The engine's own file. */
  readonly file: string;

  /** Whether it was made some time ago: the engine then looks whether it still fits before it changes anything. */
  readonly reviewed: boolean;

  /** Whether the real things were read first when it was made; the update must do the same. */
  readonly refreshed: boolean;
}

export interface UpdateRequest {
  readonly stack: string;
  readonly pulumi: Pulumi;
  readonly message: string;
  readonly onLine: (line: string) => void;

  /** Interrupts it. */
  readonly signal?: AbortSignal;

  /** Plan that the update must not exceed. */
  readonly plan?: Plan | undefined;

  /** Settings other than the stack's own file. */
  readonly configFile?: string;

  /** Whether what is really there is read first. */
  readonly refresh?: boolean;
}

export interface Updated {
  /** Undefined when it worked. */
  readonly failure: UpdateFailure | undefined;

  /** Secrets that got another value. */
  readonly rotated: readonly string[];
}

export interface UpdateFailure {
  /** Whether anything had been changed, or been tried to change, when it failed. */
  readonly changed: boolean;

  /** The engine's own words, its last lines. */
  readonly said: string;
}

export async function update(request: UpdateRequest): Promise<Updated> {
  const { stack, pulumi, message, onLine, signal, plan, configFile } = request;
  const args = [
    ...["up", "--yes", "--suppress-outputs", "--stack", stack, "--message", message],
    ...(plan?.reviewed === true ? [] : ["--skip-preview"]),
    ...(plan === undefined ? [] : ["--plan", plan.file]),
    ...(configFile === undefined ? [] : ["--config-file", configFile]),
    ...(request.refresh === true || plan?.refreshed === true ? ["--refresh"] : []),
  ];
  const { log, failure } = await runEngine({ pulumi, args, onLine, ...(signal && { signal }) });
  // The log also has the preview that comes before the update and changes nothing.
  const lines = log.split("\n").filter((line) => asEvent(line)?.planning !== true);
  return {
    failure: failure && {
      changed: lines.some(isChange),
      said: failure.errors.slice(-ERROR_LINES).join("\n"),
    },
    rotated: rotatedIn(lines, onLine),
  };
}

function isChange(line: string): boolean {
  const op = asEvent(line)?.op;
  return op !== undefined && !["same", "read", "refresh"].includes(op);
}

function rotatedIn(lines: readonly string[], onLine: (line: string) => void): string[] {
  try {
    const { steps } = readChanges(readEvents(lines.join("\n")));
    const changed = findIrreversible(steps).filter(({ kind }) => kind === "secret" || kind === "key");
    return [...new Set(changed.map(({ resource }) => resource))];
  } catch (error) {
    // What was done is done: a log of another form must not make it fail.
    if (!(error instanceof UserError)) throw error;
    onLine(`whether a secret changed is not known: ${error.message}`);
    return [];
  }
}

function asEvent(line: string): { readonly op?: string; readonly planning?: boolean } | undefined {
  if (!line.includes('"resourcePreEvent"')) return undefined;
  try {
    const { resourcePreEvent } = JSON.parse(line) as {
      resourcePreEvent: { planning?: boolean; metadata: { op: string } };
    };
    return { op: resourcePreEvent.metadata.op, planning: resourcePreEvent.planning === true };
  } catch {
    // A line that a killed engine did not finish was the beginning of a step.
    return { op: "unfinished" };
  }
}

/** Runs the engine's update, and describes its failure. */
import { readChanges } from "../changes/changes.ts";
import { readEvents, runEngine } from "../engine/events.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import type { Pulumi } from "../engine/cli.ts";
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";

const ERROR_LINES = 12;

export interface Plan {
  /** The engine's own file. */
  readonly file: string;

  /** Whether it was made earlier: the engine then checks that it still fits before it changes anything. */
  readonly reviewed: boolean;

  /** Whether it was made after reading the actual state; the update must read it too. */
  readonly refreshed: boolean;
}

interface UpdateRequest {
  readonly stack: string;
  readonly pulumi: Pulumi;
  readonly message: string;
  readonly onLine: (line: string) => void;

  /** Interrupts the update. */
  readonly signal?: AbortSignal;

  /** Plan that the update must not exceed. */
  readonly plan?: Plan | undefined;

  /** Settings other than the stack's own file. */
  readonly configFile?: string;

  /** Whether the actual state is read first. */
  readonly refresh?: boolean;

  /** Variables for the engine and the program of the stack. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface UpdateFailure {
  /** Names of the resources whose change had at least been tried; an empty name where a killed engine left that open. */
  readonly changed: readonly string[];

  /** Last lines that the engine printed. */
  readonly output: string;
}

interface Updated {
  /** Undefined when it worked. */
  readonly failure: UpdateFailure | undefined;

  /** Secrets that got another value. */
  readonly rotated: readonly string[];
}

export async function update(request: UpdateRequest): Promise<Updated> {
  const { stack, pulumi, message, onLine, signal, plan, configFile, environment = {} } = request;
  const args = [
    ...["up", "--yes", "--suppress-outputs", "--stack", stack, "--message", message],
    ...(plan?.reviewed === true ? [] : ["--skip-preview"]),
    ...(plan === undefined ? [] : ["--plan", plan.file]),
    ...(configFile === undefined ? [] : ["--config-file", configFile]),
    ...(request.refresh === true || plan?.refreshed === true ? ["--refresh"] : []),
  ];
  const { log, failure } = await runEngine({ pulumi, args, onLine, environment, ...(signal && { signal }) });
  // The log also has the preview that comes before the update and changes nothing.
  const lines = log.split("\n").filter((line) => asEvent(line)?.planning !== true);
  return {
    failure: failure && {
      changed: lines.flatMap(changedBy),
      output: failure.errors.slice(-ERROR_LINES).join("\n"),
    },
    rotated: rotatedIn(lines, onLine),
  };
}

/** The name of the resource whose change this event begins; no name where a killed engine did not finish the line. */
function changedBy(line: string): string[] {
  const event = asEvent(line);
  if (event?.op === undefined || ["same", "read", "refresh"].includes(event.op)) return [];
  return [event.urn === undefined ? "" : nameOf(event.urn)];
}

function rotatedIn(lines: readonly string[], onLine: (line: string) => void): string[] {
  try {
    const { steps } = readChanges(readEvents(lines.join("\n")));
    const changed = findIrreversible(steps).filter(({ kind }) => kind === "secret" || kind === "key");
    return [...new Set(changed.map(({ resource }) => resource))];
  } catch (error) {
    // The update is over: a log that cannot be read must not make it fail.
    if (!(error instanceof UserError)) throw error;
    onLine(`whether a secret changed is not known: ${error.message}`);
    return [];
  }
}

interface BegunStep {
  readonly op?: string;
  readonly urn?: string;
  readonly planning?: boolean;
}

function asEvent(line: string): BegunStep | undefined {
  if (!line.includes('"resourcePreEvent"')) return undefined;
  try {
    const { resourcePreEvent } = JSON.parse(line) as {
      resourcePreEvent: { planning?: boolean; metadata: { op: string; urn: string } };
    };
    const { op, urn } = resourcePreEvent.metadata;
    return { op, urn, planning: resourcePreEvent.planning === true };
  } catch {
    // A killed engine leaves an unfinished line, which began a step.
    return { op: "unfinished" };
  }
}

/** Runs the engine's update, and describes its failure. */
import { readChanges } from "../changes/changes.ts";
import { readEvents, runEngine } from "../engine/events.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import type { Pulumi } from "../engine/cli.ts";
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
}

interface Updated {
  /** Undefined when it worked. */
  readonly failure:
    | {
        /** Whether a change had at least been tried. */
        readonly changed: boolean;

        /** Last lines that the engine printed. */
        readonly output: string;
      }
    | undefined;

  /** Secrets that got another value. */
  readonly rotated: readonly string[];
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
      output: failure.errors.slice(-ERROR_LINES).join("\n"),
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
    // The update is over: a log that cannot be read must not make it fail.
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
    // A killed engine leaves an unfinished line, which began a step.
    return { op: "unfinished" };
  }
}

/** The engine's part of a deployment: an update, and what is known when it fails. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { readChanges } from "../changes/changes.ts";
import { readEvents } from "../engine/events.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import { PulumiFailure, type Pulumi } from "../engine/cli.ts";
import { UserError } from "../../common/user-error.ts";

const ERROR_LINES = 12;

/** Whether the engine refused because somebody else is changing the state: the only guard before there is a server with a lock of ours. */
export function isStateLocked(error: unknown): error is UserError {
  return error instanceof UserError && /^the state of stack \S+: expected no other run/.test(error.message);
}

/** Works in a folder that only we can read, and that is gone afterwards. */
export async function inScratchFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-deploy-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

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
  return await inScratchFolder(async (folder) => {
    const log = join(folder, "events.jsonl");
    const args = [
      ...["up", "--yes", "--suppress-outputs", "--stack", stack, "--message", message, "--event-log", log],
      ...(plan?.reviewed === true ? [] : ["--skip-preview"]),
      ...(plan === undefined ? [] : ["--plan", plan.file]),
      ...(configFile === undefined ? [] : ["--config-file", configFile]),
      ...(request.refresh === true || plan?.refreshed === true ? ["--refresh"] : []),
    ];
    try {
      // The flag for the log is one of those that the CLI hides otherwise.
      await pulumi({
        args,
        onLine,
        ...(signal === undefined ? {} : { signal }),
        environment: { PULUMI_DEBUG_COMMANDS: "true" },
      });
      return { failure: undefined, rotated: rotatedIn(await readUpdate(log), onLine) };
    } catch (error) {
      if (!(error instanceof PulumiFailure)) throw error;
      const lines = await readUpdate(log);
      const failure = { changed: lines.some(isChange), said: lastWords(error) };
      return { failure, rotated: rotatedIn(lines, onLine) };
    }
  });
}

/** Lines of the engine's log about the update itself; those of the preview before it tell of nothing done. */
async function readUpdate(log: string): Promise<string[]> {
  try {
    return (await readFile(log, "utf8")).split("\n").filter((line) => asEvent(line)?.planning !== true);
  } catch (error) {
    // Without a log the engine had not begun.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
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

function lastWords({ stdout, stderr, message }: PulumiFailure): string {
  const errors = `${stdout}\n${stderr}`.split("\n").filter((line) => /\berror:/.test(line));
  const lines = errors.length > 0 ? [...new Set(errors.map((line) => line.trim()))] : [message];
  return lines.slice(-ERROR_LINES).join("\n");
}

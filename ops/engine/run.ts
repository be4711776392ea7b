/** Runs a command of the engine and gives the log of its events. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PulumiFailure, type Pulumi, type PulumiCall } from "./cli.ts";

export interface EngineRequest extends Pick<PulumiCall, "args" | "onLine" | "signal"> {
  readonly pulumi: Pulumi;
}

export interface EngineRun {
  readonly stdout: string;

  /** One event a line; empty when the engine failed before it began. */
  readonly log: string;

  /** Undefined when the command succeeded. */
  readonly failure: PulumiFailure | undefined;
}

export function runEngine({ pulumi, args, ...options }: EngineRequest): Promise<EngineRun> {
  // The log of a preview shows secrets in clear: nobody else may read the folder, and it is deleted afterwards.
  return inPrivateFolder(async (folder) => {
    const log = join(folder, "events.jsonl");
    const call = {
      ...options,
      args: [...args, "--event-log", log],
      // Without it the CLI has no --event-log.
      environment: { PULUMI_DEBUG_COMMANDS: "true" },
    };
    try {
      return { stdout: await pulumi(call), log: await readLog(log), failure: undefined };
    } catch (error) {
      if (!(error instanceof PulumiFailure)) throw error;
      return { stdout: error.stdout, log: await readLog(log), failure: error };
    }
  });
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

/**
 * Which runs of the engine the commands of this project have started on this machine and not seen end: one file each, deleted when the run
 * ends. Of a lock on the state only a process number and a host's name are known, which containers may share; a lock is ours when it is here.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { z } from "zod";

import { isAlive, processSpace, startOf } from "../../common/is-alive.ts";

const run = z.object({
  stack: z.string(),
  pid: z.number(),
  /** As `startOf` gives it. */
  started: z.string(),
  /** As `processSpace` gives it. */
  space: z.string(),
  /** Milliseconds since 1970. */
  at: z.number(),
});

type Run = z.output<typeof run>;

type Variables = Readonly<Record<string, string | undefined>>;

export function runsFolder(variables: Variables): string {
  const state = variables["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(state, "technicia", "engine-runs");
}

/** Notes that a run has started; the returned function notes that it has ended. */
export function noteRun(
  { stack, pid, now }: { readonly stack: string; readonly pid: number; readonly now: number },
  folder: string,
): () => void {
  const [started, space] = [startOf(pid), processSpace()];
  if (started === undefined || space === undefined) return () => undefined;
  const noted: Run = { stack, pid, started, space, at: now };
  const file = join(folder, `${pid}-${started}.json`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, JSON.stringify(noted), { mode: 0o600 });
  } catch {
    // Without the note, a lock that this run leaves is released by a person.
    return () => undefined;
  }
  return () => rmSync(file, { force: true });
}

/**
 * Whether a run of ours that took a lock at that time still runs; undefined when no run of ours did: then it may run where this process
 * cannot see it.
 */
export function findRun(
  lock: { readonly stack: string; readonly pid: number; readonly since: number },
  folder: string,
): "running" | "ended" | undefined {
  const space = processSpace();
  const ours = readRuns(folder).filter(
    (one) =>
      one.space === space &&
      one.stack === lock.stack &&
      one.pid === lock.pid &&
      !(one.at > lock.since + 1000),
  );
  if (ours.length === 0) return undefined;
  return ours.some(({ pid, started }) => isAlive(pid, started)) ? "running" : "ended";
}

function readRuns(folder: string): Run[] {
  return filesIn(folder).flatMap((name) => {
    try {
      return [run.parse(JSON.parse(readFileSync(join(folder, name), "utf8")))];
    } catch {
      // Deleted meanwhile, or half written.
      return [];
    }
  });
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    return [];
  }
}

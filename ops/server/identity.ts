/** Who acts, and on what version of the project. */
import { readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";

import type { Git } from "../vendors/git.ts";

export interface Identity {
  /** `alice@laptop`, or `alice@github`. */
  readonly who: string;

  /** Address of the CI run; empty by hand. */
  readonly run: string;

  readonly process: number;
}

export function identify(machine: {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly user: string;
  readonly host: string;
  readonly process: number;
}): Identity {
  const { variables, user, host, process } = machine;
  if (variables["GITHUB_ACTIONS"] !== "true") return { who: `${user}@${host}`, run: "", process };
  const { GITHUB_ACTOR, GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_RUN_ID } = variables;
  return {
    who: `${GITHUB_ACTOR ?? user}@github`,
    run: `${GITHUB_SERVER_URL ?? "https://github.com"}/${GITHUB_REPOSITORY ?? ""}/actions/runs/${GITHUB_RUN_ID ?? ""}`,
    process,
  };
}

export interface Revision {
  /** Commit, with `+` when files differ from it. */
  readonly revision: string;

  /** Subject of that commit. */
  readonly subject: string;
}

export async function readRevision(git: Git): Promise<Revision> {
  const commit = (await git(["rev-parse", "HEAD"])).trim();
  const changed = (await git(["status", "--porcelain"])).trim();
  const subject = (await git(["log", "-1", "--format=%s"])).trim();
  return { revision: changed === "" ? commit : `${commit}+`, subject };
}

/** The person at this keyboard, or this run of the CI. */
export function identifyHere(): Identity {
  return identify({
    variables: process.env,
    user: userInfo().username,
    host: hostname(),
    process: process.pid,
  });
}

/** Whether a process of this machine still runs. */
export function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(id);
}

/** One that was killed stays in Linux's list until its parent asks how it ended, and the first process of a container may take seconds. */
function isZombie(id: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${id}/status`, "utf8"));
  } catch {
    return false;
  }
}

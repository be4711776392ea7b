/**
 * A lock on the state that one of our own killed runs left behind.
 *
 * A self-managed backend (file, S3, …) names who holds a lock: user, host, process, since when. It is ours and dead in two cases only: a
 * command of this project started that process on this very machine, and it runs no more; or the host is called
 * `technicia-run-<run>-<attempt>`, as our workflows call a runner that GitHub hosts, and GitHub says that this attempt of a run of this
 * repository is over, and its machine with it. Everything else is another's and stays: a host of any other name, a process that no note of
 * ours knows, and Pulumi Cloud, which does not say who holds a stack.
 */
import { hostname, userInfo } from "node:os";

import { openGithub, type Environment, type Github } from "../vendors/github.ts";
import { LockHeld, pulumiOnPath, stackOf, type Lock, type Pulumi, type PulumiCall } from "./cli.ts";
import { findRun, runsFolder } from "./runs.ts";
import { UserError } from "../../common/user-error.ts";

interface Verdict {
  readonly isOursAndDead: boolean;
  /** Follows the holder's name in a sentence. */
  readonly because: string;
}

/** Decides whether the holder of a stack's lock is one of our runs that has ended. */
export type Judge = (stack: string, lock: Lock) => Promise<Verdict>;

const RUN_HOST = /^technicia-run-(\d+)-(\d+)$/;

/** Another run is changing the state. Before the server exists, this is the only lock. */
export class StateLocked extends UserError {}

/** A CLI that releases a dead lock of ours and then repeats the command. */
export function releasingOwnLocks(pulumi: Pulumi, judge: Judge, say: (line: string) => void): Pulumi {
  return async (call) => {
    const stack = stackOf(call.args);
    const first = await tryLocked(pulumi, call);
    if (!("locks" in first)) return first.stdout;
    const dead = await requireDead(stack, first.locks, judge);
    // `pulumi cancel` removes every lock, so it must still be the same ones: judging may have taken a while.
    const second = await tryLocked(pulumi, call);
    if (!("locks" in second)) return second.stdout;
    const files = (locks: readonly Lock[]) =>
      locks
        .map(({ file }) => file)
        .sort()
        .join("\n");
    if (files(first.locks) !== files(second.locks)) throw second.error;
    await pulumi({ args: ["cancel", "--yes", "--stack", stack] });
    for (const { lock, because } of dead) {
      say(
        `released the lock of ${describe(lock)}: ${because}; npm run resume -- ${stack} settles what it left pending`,
      );
    }
    return pulumi(call);
  };
}

async function tryLocked(
  pulumi: Pulumi,
  call: PulumiCall,
): Promise<{ readonly stdout: string } | { readonly error: LockHeld; readonly locks: readonly Lock[] }> {
  try {
    return { stdout: await pulumi(call) };
  } catch (error) {
    if (!(error instanceof LockHeld)) throw error;
    return { error, locks: error.locks };
  }
}

async function requireDead(stack: string, locks: readonly Lock[], judge: Judge) {
  const judged = await Promise.all(locks.map(async (lock) => ({ lock, ...(await judge(stack, lock)) })));
  // `pulumi cancel` removes every lock, so one that is not ours keeps them all.
  if (judged.length === 0 || judged.some(({ isOursAndDead }) => !isOursAndDead)) {
    const holders = judged.map(({ lock, because }) => `  ${describe(lock)}: ${because}`);
    const who = holders.length > 0 ? `:\n${holders.join("\n")}\n` : ", and the backend does not name it; ";
    throw new StateLocked(
      `the state of stack ${stack}: another run holds it${who}` +
        `wait for it to end; if nothing runs any more, release it with pulumi cancel --stack ${stack}`,
    );
  }
  return judged;
}

function describe({ user, host, pid, since }: Lock): string {
  return `${user}@${host} (pid ${pid}) since ${since}`;
}

/** This machine. */
export interface Machine {
  readonly host: string;
  readonly user: string;
  /** What became of a run of the engine that this project started here; undefined when it started none such. */
  findRun(lock: { stack: string; pid: number; since: number }): ReturnType<typeof findRun>;
}

/** `runStatus` is undefined where GitHub cannot be asked. */
export function judgeBy(machine: Machine, runStatus: Github["runStatus"] | undefined): Judge {
  return async (stack, { host, user, pid, since }) => {
    if (host === machine.host && host !== "localhost") {
      if (user !== machine.user) return no("another user of this machine");
      const run = machine.findRun({ stack, pid, since: Date.parse(since) });
      if (run === "ended")
        return { isOursAndDead: true, because: "that process of this machine runs no more" };
      return run === "running"
        ? no("it still runs on this machine")
        : no("no command of this project started it here, so whether it still runs is not known");
    }
    const [, id, attempt] = RUN_HOST.exec(host) ?? [];
    if (id === undefined) return no("another machine, which cannot be asked");
    const run = `workflow run ${id}, attempt ${attempt ?? ""}`;
    if (runStatus === undefined) return no(`${run}, and GitHub cannot be asked about it from here`);
    const status = await runStatus({ id: Number(id), attempt: Number(attempt) });
    if (status === undefined) return no(`${run}, which this repository does not have`);
    return status === "completed"
      ? { isOursAndDead: true, because: `${run} of this repository is over` }
      : no(`${run} of this repository is ${status}`);
  };
}

function no(because: string): Verdict {
  return { isOursAndDead: false, because };
}

function thisMachine(): Machine {
  return {
    host: hostname(),
    user: userInfo().username,
    findRun: (lock) => findRun(lock, runsFolder(process.env)),
  };
}

function githubRuns(environment: Environment): Github["runStatus"] | undefined {
  if (!environment["GITHUB_TOKEN"] || !environment["GITHUB_REPOSITORY"]) return undefined;
  const github = openGithub(environment);
  return (run) => github.runStatus(run);
}

/** The `pulumi` that PATH finds; it releases dead locks of ours and reports that on standard error. */
export const pulumiWithOwnLocks: Pulumi = (call) =>
  releasingOwnLocks(pulumiOnPath, judgeBy(thisMachine(), githubRuns(process.env)), (line) =>
    process.stderr.write(`${line}\n`),
  )(call);

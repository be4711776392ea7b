/**
 * A lock on the state that one of our own killed runs left behind.
 *
 * A self-managed backend (file, S3, …) names who holds a lock: user, host, process, since when. It is ours and dead in two cases only: the
 * process was on this very machine and runs no more; or the host is called `technicia-run-<run>-<attempt>`, as our workflows call a runner
 * that GitHub hosts, and GitHub says that this attempt of a run of this repository is over, and its machine with it. Everything else is
 * another's and stays: a host of any other name, and Pulumi Cloud, which does not say who holds a stack.
 */
import { readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";

import { isAlive } from "../../common/is-alive.ts";
import { openGithub, type Environment, type Github } from "../vendors/github.ts";
import { LockHeld, pulumiOnPath, type Lock, type Pulumi } from "./cli.ts";
import { UserError } from "../../common/user-error.ts";

interface Verdict {
  readonly isOursAndDead: boolean;
  /** Follows the holder's name in a sentence. */
  readonly because: string;
}

/** Decides whether a lock's holder is one of our runs that has ended. */
export type Judge = (lock: Lock) => Promise<Verdict>;

const RUN_HOST = /^technicia-run-(\d+)-(\d+)$/;

/** Another run is changing the state. Before the server exists, this is the only lock. */
export class StateLocked extends UserError {}

/** A CLI that releases a dead lock of ours and then repeats the command. */
export function releasingOwnLocks(pulumi: Pulumi, judge: Judge, say: (line: string) => void): Pulumi {
  return async (call) => {
    try {
      return await pulumi(call);
    } catch (error) {
      if (!(error instanceof LockHeld)) throw error;
      const stack = call.args[call.args.indexOf("--stack") + 1] ?? "";
      const dead = await requireDead(stack, error.locks, judge);
      await pulumi({ args: ["cancel", "--yes", "--stack", stack] });
      for (const { lock, because } of dead) {
        say(
          `released the lock of ${describe(lock)}: ${because}; npm run resume -- ${stack} settles what it left pending`,
        );
      }
      return pulumi(call);
    }
  };
}

async function requireDead(stack: string, locks: readonly Lock[], judge: Judge) {
  const judged = await Promise.all(locks.map(async (lock) => ({ lock, ...(await judge(lock)) })));
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
  /** Name of the program that runs under a process id; undefined when none does. */
  program(pid: number): string | undefined;
}

/** `runStatus` is undefined where GitHub cannot be asked. */
export function judgeBy(machine: Machine, runStatus: Github["runStatus"] | undefined): Judge {
  return async ({ host, user, pid }) => {
    if (host === machine.host && host !== "localhost") {
      if (user !== machine.user) return no("another user of this machine");
      const program = machine.program(pid);
      return program === undefined || (program !== "" && !program.startsWith("pulumi"))
        ? { isOursAndDead: true, because: "that process of this machine runs no more" }
        : no("it still runs on this machine");
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
    program(pid) {
      if (!isAlive(pid)) return undefined;
      try {
        return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
      } catch {
        return "";
      }
    },
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

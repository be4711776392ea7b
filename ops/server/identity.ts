/** Who runs a command, and on which version of the project. */
import { hostname, userInfo } from "node:os";

import { processSpace, startOf } from "../../common/is-alive.ts";
import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

export interface Identity {
  /** `alice@laptop`, or `alice@github`. */
  readonly who: string;

  /** Address of the CI run; empty by hand. */
  readonly run: string;

  readonly process: number;

  /** When the process started, as `startOf` gives it: its number may be another's by now. */
  readonly started?: string | undefined;

  /** Where that number means this process, as `processSpace` gives it. */
  readonly space?: string | undefined;
}

export function identify({
  variables,
  user,
  host,
  ...process
}: Pick<Identity, "process" | "started" | "space"> & {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly user: string;
  readonly host: string;
}): Identity {
  if (variables["GITHUB_ACTIONS"] !== "true") return { who: `${user}@${host}`, run: "", ...process };
  const { GITHUB_ACTOR, GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_RUN_ID } = variables;
  return {
    who: `${GITHUB_ACTOR ?? user}@github`,
    run: `${GITHUB_SERVER_URL ?? "https://github.com"}/${GITHUB_REPOSITORY ?? ""}/actions/runs/${GITHUB_RUN_ID ?? ""}`,
    ...process,
  };
}

/** The commit, with `+` when files differ from it, and its subject. */
export async function readRevision(
  git: Git,
): Promise<{ readonly revision: string; readonly subject: string }> {
  const commit = (await git(["rev-parse", "HEAD"])).trim();
  const changed = (await git(["status", "--porcelain"])).trim();
  const subject = (await git(["log", "-1", "--format=%s"])).trim();
  return { revision: changed === "" ? commit : `${commit}+`, subject };
}

/** The person at this terminal, or this run of the CI. */
export function identifyHere(): Identity {
  return identify({
    variables: process.env,
    user: userInfo().username,
    host: hostname(),
    process: process.pid,
    started: startOf(process.pid),
    space: processSpace(),
  });
}

/** Runs git in the project's folder and gives its standard output. */
export type Git = (args: readonly string[]) => Promise<string>;

export const gitOnPath: Git = async (args) => {
  const { code, stdout, stderr } = await tryRun(["git", ...args]);
  if (code === 0) return stdout;
  const got = stderr.trim().split("\n")[0] || `exit code ${code}`;
  throw new UserError(
    `git ${args[0] ?? ""}: expected a checkout with a commit, got: ${got}; run this in a clone of the project`,
  );
};

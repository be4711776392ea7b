/** The project's own git checkout. */
import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

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

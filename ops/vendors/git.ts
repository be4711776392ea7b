/** The project's own git checkout. */
import { execFile } from "node:child_process";

import { UserError } from "../../common/user-error.ts";

/** Runs git in the project's folder and gives its standard output. */
export type Git = (args: readonly string[]) => Promise<string>;

export const gitOnPath: Git = (args) =>
  new Promise((resolve, reject) => {
    execFile("git", args, { maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const got = stderr.trim().split("\n")[0] ?? error.message;
        reject(
          new UserError(
            `git ${args[0] ?? ""}: expected a checkout with a commit, got: ${got || error.message}; run this in a clone of the project`,
          ),
        );
      }
    });
  });

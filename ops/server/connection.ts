/** The server of a deployed stack, over one pinned ssh connection. */
import { spawn } from "node:child_process";

import { opensshOptions } from "../../provider/ssh/openssh-options.ts";
import { Host, type Result } from "../../provider/ssh/host.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { UserError } from "../../common/user-error.ts";

export interface ServerCommand {
  /** What it is for, to follow "could not": `read the releases`. */
  readonly purpose: string;

  /** Bash, run as root with `set -euo pipefail`, in `/`. */
  readonly script: string;

  /** Shell variables; none of them reaches a command line. */
  readonly variables?: Readonly<Record<string, string>>;

  readonly stdin?: string;

  /** @default 120 */
  readonly timeoutSeconds?: number;

  /** Told, of a connection that this command opens, once the right host answers and before it lets us in. */
  readonly onAnswer?: () => void;
}

export interface Server {
  /** `user@address:port`. */
  readonly name: string;

  /** Runs the script; whatever goes wrong is a `UserError` that says the way out. */
  run(command: ServerCommand): Promise<Result>;

  /**
   * Logs in for Docker's plugin, before an engine run that asks Docker anything: each of the plugin's calls would log in by itself until
   * one of them has. Without success nothing is said, because the plugin's own try tells more.
   */
  logInForDocker(): Promise<void>;

  close(): void;
}

/** Connects at the first command, and once, however many follow. */
export function openServer({ ssh }: Pick<StackOutputs, "ssh">): Server {
  const ended = new AbortController();
  const host = new Host({ ...ssh }, () => undefined);
  // The engine's plugin for hosts would log in anew in each run.
  const sharing = host.share(ended.signal);
  return {
    name: host.name,
    async run(command) {
      try {
        return await host.run({ ...command, signal: ended.signal });
      } catch (error) {
        throw error instanceof Error ? new UserError(error.message, { cause: error }) : error;
      }
    },
    logInForDocker: () =>
      new Promise((resolve) => {
        const target = ["-p", String(ssh.port), "-l", ssh.user, "--", ssh.address, "true"];
        spawn("ssh", [...opensshOptions(ssh), ...target], { stdio: "ignore" })
          .on("error", () => resolve())
          .on("close", () => resolve());
      }),
    close() {
      ended.abort(new UserError("the command ended"));
      sharing.close();
      host.close();
    },
  };
}

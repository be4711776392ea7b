/** The server of a deployed stack, over one ssh connection whose host key is pinned. */
import { type Ended, tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { prepareControlFolder } from "../../provider/ssh/control-folder.ts";
import { Host, type Result } from "../../provider/ssh/host.ts";
import { opensshOptions } from "../../provider/ssh/openssh-options.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";

export interface ServerCommand {
  /** What it is for; follows "could not": `read the releases`. */
  readonly purpose: string;

  /** Bash, run as root with `set -euo pipefail`, in `/`. */
  readonly script: string;

  /** Shell variables; none of them reaches a command line. */
  readonly variables?: Readonly<Record<string, string>>;

  readonly stdin?: string;

  /** @default 120 */
  readonly timeoutSeconds?: number;

  /** Receives each line of both outputs as it arrives. */
  readonly onLine?: (line: string) => void;

  /** Called when this command opens the connection, once a host with the pinned key answers and before it lets us in. */
  readonly onAnswer?: () => void;
}

export interface Server {
  /** `user@address:port`. */
  readonly name: string;

  /** Runs the script; what goes wrong on the way or on the server is a `UserError` that says what to do. */
  run(command: ServerCommand): Promise<Result>;

  /**
   * Opens the control master for Docker's plugin. Call it before an engine run that uses Docker: otherwise each of the plugin's simultaneous
   * calls logs in by itself. A failure is not reported, because the plugin's own attempt reports more.
   */
  logInForDocker(): Promise<void>;

  close(): void;
}

/** Connects when the first command runs; later commands use the same connection. */
export function openServer({ ssh }: Pick<StackOutputs, "ssh">): Server {
  const ended = new AbortController();
  const host = new Host(ssh);
  return {
    name: host.name,
    run: (command) => host.run({ ...command, signal: ended.signal }),
    async logInForDocker() {
      await runOpenssh({ ...ssh, options: opensshOptions(ssh) }, "true").catch(() => undefined);
    },
    close() {
      ended.abort(new UserError("the command ended"));
      host.close();
    },
  };
}

/** Exit code of ssh itself, when it could not connect or log in. */
export const SSH_FAILED = 255;

/** Runs a command through OpenSSH's client, and so over the control master that Docker's plugin shares. */
export async function runOpenssh(
  server: {
    readonly address: string;
    readonly port: number;
    readonly user: string;
    /** What `opensshOptions` gave, also when read back from the state. */
    readonly options: readonly string[];
  },
  command: string,
): Promise<Ended> {
  const { address, port, user, options } = server;
  const target = ["-p", String(port), "-l", user, "--", address, command];
  prepareControlFolder();
  return tryRun(["ssh", ...options, ...target]);
}

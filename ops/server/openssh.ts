/** Runs a command on a server through OpenSSH's client, and so over the control master that Docker's plugin shares. */
import { tryRun, type Ended } from "../../common/run.ts";

export interface OpensshTarget {
  readonly address: string;
  readonly port: number;
  readonly user: string;

  /** What `opensshOptions` gave, also when read back from the state. */
  readonly options: readonly string[];
}

/** Exit code of ssh itself, when it could not connect or log in. */
export const SSH_FAILED = 255;

export function runOpenssh({ address, port, user, options }: OpensshTarget, command: string): Promise<Ended> {
  const target = ["-p", String(port), "-l", user, "--", address, command];
  return tryRun(["ssh", ...options, ...target]);
}

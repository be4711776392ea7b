/** Options of OpenSSH's client, which Docker's plugin starts for each of its calls. They are inputs of its provider: a change shows in a preview. */

import { CONTROL_PATH } from "./control-folder.ts";

export interface Trust {
  /** `~` is `$HOME` of the process that runs ssh, as it is everywhere else in this project. */
  readonly privateKeyFile: string;

  /** Public key in one line: type and base64. */
  readonly hostKey: string;
}

/** The host key comes from the state, so that a colleague's known_hosts file does not matter; one master connection carries every call. */
export function opensshOptions({ privateKeyFile, hostKey }: Trust): string[] {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    `IdentityFile=${asArgument(privateKeyFile)}`,
    "StrictHostKeyChecking=yes",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    `KnownHostsCommand=/bin/echo %H ${hostKey}`,
    "ControlMaster=auto",
    `ControlPath=${CONTROL_PATH}`,
    "ControlPersist=120s",
    "ServerAliveInterval=15",
    "ConnectTimeout=30",
  ];
  return options.flatMap((option) => ["-o", option]);
}

/** A path as ssh's settings take it: in quotes where it has spaces or quotes, and without tokens. */
function asArgument(path: string): string {
  // ssh's own `~` is the home in the system's list of users: on a CI's runner that has keys of its own, not this job's folder.
  const plain = path.replaceAll("%", "%%").replace(/^~(?=\/)/, "${HOME}");
  return /[\s"'\\]/.test(plain) ? `"${plain.replaceAll(/["\\]/g, "\\$&")}"` : plain;
}

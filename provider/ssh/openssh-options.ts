/** What OpenSSH's client is told, wherever it stands in for our own: Docker's plugin starts one for each of its calls. */

/** The host key comes from the state, so that a colleague's known_hosts file has no say; one master connection carries every call. */
export function opensshOptions({ privateKeyFile, hostKey }: Trust): string[] {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    `IdentityFile=${privateKeyFile}`,
    "StrictHostKeyChecking=yes",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    `KnownHostsCommand=/bin/echo %H ${hostKey}`,
    "ControlMaster=auto",
    // Not in ~/.ssh: ssh does not make that folder, and gives up without it.
    "ControlPath=~/.technicia-%C",
    "ControlPersist=120s",
    "ServerAliveInterval=15",
    "ConnectTimeout=30",
  ];
  return options.flatMap((option) => ["-o", option]);
}

export interface Trust {
  /** `~` is the home of whoever logs in. */
  readonly privateKeyFile: string;

  /** Public key in one line: type and base64. */
  readonly hostKey: string;
}

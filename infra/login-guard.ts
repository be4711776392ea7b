/** Time that the operator has to log in anew after a change of sshd, its keys or a firewall, before the change is taken back. */
export const LOGIN_GUARD = { seconds: 90 } as const;

/** Ports that sshd listens on, first the one that the commands use: before a move there are two. */
export function sshPorts(ssh: {
  readonly port: number;
  readonly nextPort?: number | undefined;
}): readonly [number, ...number[]] {
  return ssh.nextPort === undefined ? [ssh.port] : [ssh.port, ssh.nextPort];
}

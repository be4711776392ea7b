/** What the rules on the server and the commands both know of the monitoring. */

/** Port of each program in its own container; the name on the networks is the key's alias in `SERVICES`. */
export const MONITORING_PORTS = {
  metrics: 8428,
  logs: 9428,
  "metric-rules": 8880,
  "log-rules": 8880,
  alerts: 9093,
  probes: 9115,
} as const;

/** Ports on the server's loopback, at which commands and ssh tunnels reach the programs. */
export const LOOPBACK_PORTS = { ...MONITORING_PORTS, "log-rules": 8881 } as const;

/** Of several servers: the label of every series, and the field of every line, that is of one of them. */
export const SERVER_LABEL = "server";

/**
 * Ports, of several servers, at which the stores take what a server measures and logs: in the tunnel between the servers for the others, and on the
 * loopback for the server of the stores itself.
 */
export const INTAKE_PORTS = { tunnel: 9427, loopback: 9426 } as const;

/** TechnicIA's services, without those that watch them. */
export function ownServices(aliases: readonly string[]): string[] {
  return aliases.filter((alias) => !(alias in MONITORING_PORTS));
}

/** How often each of these services, an expression of their names, has started again within so many minutes. */
export const restartsBy = (services: string, minutes: number): string =>
  // MetricsQL's own `changes` counts the first sample of a series as well: the first start would be a restart.
  `max by (service) (changes_prometheus(technicia_task_started_timestamp_seconds{service=~"${services}"}[${minutes}m]))`;

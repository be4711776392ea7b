/** What the commands for servers reach. */
import type { Clock } from "../../common/until.ts";
import { openDnsZone, type DnsZone } from "../../provider/dns/records.ts";
import type { Outcome } from "../command.ts";
import type { Operator } from "../deploy/session.ts";
import { readSettings } from "../engine/settings.ts";
import type { Server } from "../server/connection.ts";
import { holdLock } from "../server/lock.ts";
import { Connections, readFleet, type Fleet } from "../fleet/fleet.ts";

export interface ServersWorld extends Operator {
  readonly fetch: typeof fetch;

  /** @default this machine's */
  readonly clock?: Clock;
}

/** The servers, and the connections to them for as long as a command works. */
export interface Opened {
  readonly fleet: Fleet;
  readonly connections: Connections;
  readonly world: ServersWorld;
}

export async function opened<T>(
  stack: string,
  world: ServersWorld,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const fleet = await readFleet(stack, world);
  return await Connections.during(world, (connections) => work({ fleet, connections, world }));
}

/** The zone of the environment's names; the token is read only here. */
export async function openZone({ fleet, world }: Opened): Promise<DnsZone> {
  const { secrets } = await readSettings(fleet.stack, world.pulumi);
  return openDnsZone({ environment: fleet.environment, secrets, fetch: world.fetch });
}

/** Does the work under the deployment's lock; the signal ends with the command, and with the lock. */
export async function locked(
  { fleet, world }: Opened,
  { server, why }: { readonly server: Server; readonly why: string },
  work: (signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome> {
  const lock = await holdLock(server, { ...world, stack: fleet.stack, why });
  try {
    return await work(AbortSignal.any([world.signal, lock.lost]));
  } finally {
    await lock.release();
  }
}

/** Waits until the Swarm is as it was told to be. */
import { UserError } from "../../common/user-error.ts";
import { until } from "../../common/until.ts";
import type { Server } from "../server/connection.ts";
import {
  findCrowded,
  findUnsettled,
  nodeOf,
  readSwarm,
  runningOn,
  setTasks,
  type SwarmView,
} from "../fleet/swarm.ts";
import type { Member } from "../fleet/fleet.ts";
import type { ServersWorld } from "./world.ts";

/** A task starts within seconds and is healthy at its first check; an image that is missing is pulled first. */
const SETTLE_SECONDS = 300;

const EVERY_MS = 2000;

export interface Waiting {
  readonly manager: Server;
  readonly world: Pick<ServersWorld, "clock" | "say">;
  readonly signal: AbortSignal;

  /** What somebody does when it takes too long. */
  readonly remedy: string;

  /** What else is waited for, a line each while it is missing. @default nothing */
  readonly isMissing?: (view: SwarmView) => readonly string[];
}

/** Gives what the managers know once nothing holds it up any more. `what` is missing: a line each. */
async function whenNothing(
  missing: (view: SwarmView) => readonly string[],
  { manager, world, signal, remedy }: Waiting,
): Promise<SwarmView> {
  let last: readonly string[] = [];
  return await until(
    async () => {
      signal.throwIfAborted();
      const view = await orReason(readSwarm(manager));
      last = typeof view === "string" ? [view] : missing(view);
      return last.length === 0 && (view as SwarmView);
    },
    {
      limit: SETTLE_SECONDS * 1000,
      every: EVERY_MS,
      signal,
      ...(world.clock && { clock: world.clock }),
      late: () =>
        new UserError(
          `expected every service to run within ${SETTLE_SECONDS} s, got: ${last.join("; ")}; ${remedy}`,
        ),
    },
  );
}

/** A manager that restarts, or a Swarm that has just lost its leader, says nothing for a while. */
async function orReason(reading: Promise<SwarmView>): Promise<SwarmView | string> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** Until every service that can run runs; those that no server fits stay down. */
export async function settled(waiting: Waiting): Promise<SwarmView> {
  const { isMissing = () => [] } = waiting;
  return await whenNothing((view) => [...isMissing(view), ...missingIn(view)], waiting);
}

/** The same, and nothing runs on the server any more. */
export async function settledWithout(member: Member, waiting: Waiting): Promise<SwarmView> {
  return await whenNothing((view) => {
    const node = nodeOf(member, view);
    const left = node === undefined ? [] : runningOn(view, node);
    return [...missingIn(view), ...left.map((service) => `${service} still runs on ${member.name}`)];
  }, waiting);
}

function missingIn(view: SwarmView): string[] {
  return findUnsettled(view)
    .filter(({ isStranded }) => !isStranded)
    .map(({ text }) => text);
}

/**
 * Gives a server back its share of what has two tasks: the Swarm never moves one by itself. One more task starts where there is none, and then
 * the Swarm ends one where there are two, so the service answers all the time.
 */
export async function spread(waiting: Waiting): Promise<readonly string[]> {
  const { manager, world } = waiting;
  const moved: string[] = [];
  for (const service of findCrowded(await readSwarm(manager))) {
    const tasks = service.replicas ?? 0;
    world.say(`spreading ${service.name} over the servers`);
    await setTasks(manager, { service, tasks: tasks + 1 });
    try {
      await settled(waiting);
    } finally {
      await setTasks(manager, { service, tasks });
    }
    await settled(waiting);
    moved.push(service.name);
  }
  return moved;
}

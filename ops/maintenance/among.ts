/** A server that is maintained while others go on: its work is theirs meanwhile. */
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import type { Session } from "../deploy/session.ts";
import type { Server } from "../server/connection.ts";
import { emptyServer, fillServer, requireElsewhere, requireNode } from "../servers/drain.ts";
import { memberOf, type Member } from "../fleet/fleet.ts";
import { settled } from "../servers/settle.ts";
import { askManagers, nodeOf } from "../fleet/swarm.ts";
import { opened, type Opened } from "../servers/world.ts";

export interface Among {
  readonly server: Server;

  /** Whether the data is on it, which no other server can serve. */
  readonly isHome: boolean;

  /** Its visitors and its tasks, to the other servers. */
  moveAway(signal: AbortSignal): Promise<void>;
  moveBack(signal: AbortSignal): Promise<void>;

  /** Waits until every service that can run runs, wherever. */
  settle(signal: AbortSignal): Promise<void>;
}

/** Undefined for an only server. */
export async function among(
  { stack, name }: { readonly stack: string; readonly name?: string | undefined },
  { session }: { readonly session: Session },
  work: (found: Among | undefined) => Promise<Outcome>,
): Promise<Outcome> {
  const isSeveral = session.environment.servers.length > 1;
  if (!isSeveral && name === undefined) return await work(undefined);
  const world = { ...session.operator, fetch: systemFetch };
  return await opened(stack, world, async (all) => {
    const { fleet, connections } = all;
    if (!fleet.isSeveral && name === undefined) return await work(undefined);
    const member = name === undefined ? fleet.home : memberOf(fleet, name);
    if (!fleet.isSeveral)
      throw new UserError(`--server: ${member.name} is the only server; leave --server out`);
    return await work(oneAmong(all, member, connections.to(member)));
  });
}

function oneAmong(all: Opened, member: Member, server: Server): Among {
  const { fleet, connections, world } = all;
  const isHome = member === fleet.home;
  const ask = () => askManagers(fleet, connections, isHome ? {} : { except: member });
  return {
    ...{ server, isHome },
    async moveAway(signal) {
      const asked = await ask();
      const node = requireNode(member, asked);
      if (member.role === "witness") return;
      const named = await requireElsewhere(all, { member, node, asked });
      await emptyServer(all, { member, node, asked, named, signal });
    },
    async moveBack(signal) {
      const asked = await ask();
      const node = requireNode(member, asked);
      if (member.role !== "witness") await fillServer(all, { member, node, asked, signal });
    },
    async settle(signal) {
      world.say("waiting for the services");
      const manager = isHome ? server : (await ask()).server;
      const remedy = "look at docker service ps <name> there";
      await settled({ manager, world, signal, remedy, isMissing: (view) => isAway(member, view) });
    },
  };
}

/** After its reboot the managers hear it again some seconds later. */
function isAway(member: Member, view: Parameters<typeof nodeOf>[1]): string[] {
  const state = nodeOf(member, view)?.state;
  return state === "ready" ? [] : [`${member.name} is ${state ?? "not in the Swarm"}`];
}

/** `npm run servers -- <stack> drain|undrain`: a server stops working in order, and works again. */
import { UserError } from "../../common/user-error.ts";
import { record } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { memberOf, type Fleet, type Member } from "../fleet/fleet.ts";
import { findNamed, lifetime, putBack, takeOut, type Named } from "./names.ts";
import { settled, settledWithout, spread, type Waiting } from "./settle.ts";
import {
  askManagers,
  fits,
  nodeOf,
  runningOn,
  setAvailability,
  takesTasks,
  type Asked,
  type Node,
} from "../fleet/swarm.ts";
import { locked, type Opened } from "./world.ts";

export interface DrainRequest {
  readonly stack: string;
  readonly name: string;
  readonly yes: boolean;
}

export async function drainServer({ stack, name, yes }: DrainRequest, opened: Opened): Promise<Outcome> {
  const { fleet, connections, world } = opened;
  const member = memberOf(fleet, name);
  refuseLastOne(fleet, member, "drain");
  const asked = await askManagers(fleet, connections);
  const node = requireNode(member, asked);
  if (node.availability === "drain" && runningOn(asked.view, node).length === 0)
    return { text: `${name} is drained already: nothing runs there`, exitCode: EXIT.ok };
  const named = await requireElsewhere(opened, { member, node, asked });
  const moves = runningOn(asked.view, node);
  world.say(`moves away from ${name}: ${moves.join(", ") || "nothing"}`);
  if (!yes && !(await world.confirm(`Drain ${name} now?`)))
    return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };
  return await locked(opened, { server: asked.server, why: `drain of ${name}` }, async (signal) => {
    await emptyServer(opened, { member, node, asked, named, signal });
    const detail = `${name} vidé : ${moves.join(", ") || "rien n'y tournait"}`;
    await record(asked.server, world, { action: "server", detail });
    const text = `${name} is drained: nothing runs there, and everything runs elsewhere; npm run servers -- ${stack} undrain ${name} gives it work again, and until then npm run drift -- ${stack} reports the difference`;
    return { text, exitCode: EXIT.ok };
  });
}

export interface Emptying {
  readonly member: Member;
  readonly node: Node;
  readonly asked: Asked;

  /** Undefined where no visitors come to it. */
  readonly named: Named | undefined;
  readonly signal: AbortSignal;
}

/** Visitors first, then the tasks: nobody is led to a server that has stopped. */
export async function emptyServer(opened: Opened, emptying: Emptying): Promise<void> {
  const { world, fleet } = opened;
  const { member, node, asked, named, signal } = emptying;
  if (named !== undefined && named.records.length > 0) {
    await takeOut(named, opened);
    const seconds = lifetime(opened);
    world.say(`waiting ${seconds} s, until resolvers have forgotten ${member.name}`);
    await world.pause(seconds);
    signal.throwIfAborted();
  }
  await setAvailability(asked.server, { node, availability: "drain" });
  world.say(`draining ${member.name}`);
  await settledWithout(member, waitingFor(opened, { asked, signal, undo: member, stack: fleet.stack }));
}

function waitingFor(
  { world }: Opened,
  about: {
    readonly asked: Asked;
    readonly signal: AbortSignal;
    readonly undo: Member;
    readonly stack: string;
  },
): Waiting {
  const { asked, signal, undo, stack } = about;
  const remedy = `look at docker service ps <name> on ${asked.manager.name}, or take it back with npm run servers -- ${stack} undrain ${undo.name}`;
  return { manager: asked.server, world, signal, remedy };
}

export async function undrainServer({ stack, name, yes }: DrainRequest, opened: Opened): Promise<Outcome> {
  const { fleet, connections, world } = opened;
  const member = memberOf(fleet, name);
  if (member.role === "witness")
    throw new UserError(
      `${name}: a witness votes and runs nothing, so it is always drained; npm run servers -- ${stack} shows it`,
    );
  const asked = await askManagers(fleet, connections);
  const node = requireNode(member, asked);
  if (node.state !== "ready")
    throw new UserError(
      `${name}: expected a server that answers the managers, got one that is ${node.state}; start it, and look at docker info there`,
    );
  if (!yes && !(await world.confirm(`Give ${name} work again?`)))
    return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };
  return await locked(opened, { server: asked.server, why: `undrain of ${name}` }, async (signal) => {
    const lines = await fillServer(opened, { member, node, asked, signal });
    await record(asked.server, world, { action: "server", detail: `${name} remis au travail` });
    return { text: [`${name} works again`, ...lines].join("\n"), exitCode: EXIT.ok };
  });
}

/** The reverse of `emptyServer`; gives what was done, a line each. */
export async function fillServer(
  opened: Opened,
  { member, node, asked, signal }: Omit<Emptying, "named">,
): Promise<string[]> {
  const { world, fleet } = opened;
  const waiting = waitingFor(opened, { asked, signal, undo: member, stack: fleet.stack });
  if (node.availability !== "active") await setAvailability(asked.server, { node, availability: "active" });
  world.say(`waiting for the services of ${member.name}`);
  await settled(waiting);
  const moved = await spread(waiting);
  const lines = moved.length === 0 ? [] : [`runs there again: ${moved.join(", ")}`];
  if (!member.labels.includes("gateway") || !fleet.isSeveral) return lines;
  const count = await putBack(opened, member);
  return [...lines, `visitors come to it again: ${count === 1 ? "1 DNS record" : `${count} DNS records`}`];
}

/** @throws UserError for an only server, and for the one of the data */
export function refuseLastOne(
  { isSeveral, home, stack }: Fleet,
  { name }: Member,
  verb: "drain" | "remove",
): void {
  if (!isSeveral)
    throw new UserError(
      `${name}: expected another server to take over, got none: it is the only one; add one with npm run servers -- ${stack} add <name>:<role>`,
    );
  if (home.name === name)
    throw new UserError(
      `${name}: expected a server without data, got the one that has it (its labels are in technicia:servers): what it keeps is on its disk, and would stay down; ` +
        (verb === "drain"
          ? `for its packages and a reboot there is npm run maintain -- ${stack}`
          : `move the data first (docs/servers.md)`),
    );
}

export function requireNode(member: Member, { view, manager }: Asked): Node {
  const node = nodeOf(member, view);
  if (node !== undefined) return node;
  throw new UserError(
    `${member.name}: expected a node of the Swarm${member.address === "" ? "" : ` at ${member.address}`}, got none; look at docker node ls on ${manager.name}, and deploy again`,
  );
}

/** Whether all that runs there can run elsewhere; gives what a gateway has in the names. */
export async function requireElsewhere(
  opened: Opened,
  { member, node, asked }: Pick<Emptying, "member" | "node" | "asked">,
): Promise<Named | undefined> {
  const { view } = asked;
  const others = view.nodes.filter((one) => one.id !== node.id && takesTasks(one));
  const here = new Set(runningOn(view, node));
  const stranded = view.services.filter(
    (service) =>
      here.has(service.name) && service.replicas !== null && !others.some((one) => fits(service, one)),
  );
  if (stranded.length > 0)
    throw new UserError(
      `${member.name}: expected another server that runs what is there, got none for ${stranded.map((one) => one.name).join(", ")}; ` +
        `start another one, or give it the label (npm run servers -- ${opened.fleet.stack} shows all)`,
    );
  if (!member.labels.includes("gateway")) return undefined;
  const named = await findNamed(opened, member);
  if (named.onlyHere.length > 0)
    throw new UserError(
      `${member.name}: expected another address in DNS for ${named.onlyHere.join(", ")}, got none: visitors would reach nobody; ` +
        "give the label gateway to another server (technicia:servers) and deploy that first",
    );
  return named;
}

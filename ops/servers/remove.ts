/** `npm run servers -- <stack> remove`: a server leaves the Swarm in order, before the settings lose it. */
import { votes } from "../../common/servers.ts";
import { UserError } from "../../common/user-error.ts";
import { until } from "../../common/until.ts";
import { nameOf } from "../../common/urn.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { record } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { keyOf } from "../engine/deployed-servers.ts";
import { forgetHost } from "../engine/reinstalled.ts";
import { emptyServer, refuseLastOne, requireElsewhere, requireNode } from "./drain.ts";
import { confirmDown } from "./down.ts";
import { memberOf, type Fleet, type Member } from "../fleet/fleet.ts";
import { renderLosses } from "../losses.ts";
import { entriesOf, removal, withServers } from "./lists.ts";
import { findNamed, forgetRecords, takeOut } from "./names.ts";
import { replacement } from "./replacement.ts";
import {
  askManagers,
  demote,
  forgetNode,
  leaveSwarm,
  nodeOf,
  readSwarm,
  setAvailability,
  type Asked,
} from "../fleet/swarm.ts";
import { locked, type Opened, type ServersWorld } from "./world.ts";

export interface RemoveRequest {
  readonly stack: string;
  readonly name: string;

  /** Whether it is down for good and cannot leave by itself. */
  readonly isGone: boolean;
  readonly yes: boolean;
}

export async function removeServer(request: RemoveRequest, opened: Opened): Promise<Outcome> {
  const { name, isGone, yes } = request;
  const { fleet, connections, world } = opened;
  const member = memberOf(fleet, name);
  refuseLastOne(fleet, member, "remove");
  // One that is lost is lost, whatever the rules say of the rest.
  const after = isGone ? others(fleet, member) : requireRest(fleet, member);
  const asked = await askManagers(fleet, connections, { except: member });
  world.say(`without ${name}:\n${renderLosses(after)}`);
  if (!yes && !(await world.confirm(`Remove ${name} from the Swarm now?`)))
    return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };
  return await locked(opened, { server: asked.server, why: `removal of ${name}` }, async (signal) => {
    const done = isGone
      ? await removeLost({ opened, member, asked, signal })
      : await removeLiving({ opened, member, asked, signal });
    const detail = `${name} retiré du Swarm${isGone ? " : serveur perdu" : ""}`;
    await record(asked.server, world, { action: "server", detail });
    const next = isGone ? nextOfLost(fleet, member) : nextSteps(fleet, member);
    return { text: [...done, ...next].join("\n"), exitCode: EXIT.ok };
  });
}

/** The servers that stay; throws where the settings would refuse them, and for the first one. */
function requireRest(fleet: Fleet, { name }: Member) {
  const { stack, members } = fleet;
  const entries = entriesOf(fleet);
  if (members[0]?.name === name)
    throw new UserError(
      `${name}: expected another server than the first of the list, got the first: its resources have the names of an only server's, and no other can have them yet (docs/decisions/0019-several-servers.md); ` +
        "to replace the machine, give its entry another serviceName",
    );
  if (!entries.some((entry) => entry.name === name)) return members.filter((member) => member.name !== name);
  const rest = entries.filter((entry) => entry.name !== name);
  try {
    return withServers(fleet, rest).servers;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${name} cannot go from ${stack} by itself, because ${error.message}`, {
      cause: error,
    });
  }
}

function others({ members }: Fleet, { name }: Pick<Member, "name">): readonly Member[] {
  return members.filter((member) => member.name !== name);
}

interface Removal {
  readonly opened: Opened;
  readonly member: Member;
  readonly asked: Asked;
  readonly signal: AbortSignal;
}

const LEAVE_SECONDS = 120;

async function removeLiving({ opened, member, asked, signal }: Removal): Promise<string[]> {
  const { connections, world } = opened;
  const { name } = member;
  const node = requireNode(member, asked);
  if (node.state !== "ready")
    throw new UserError(
      `${name}: expected a server that answers the managers, got one that is ${node.state}; start it, or remove a lost one with npm run servers -- ${opened.fleet.stack} remove ${name} --gone`,
    );
  // Asked before anything changes: it has to leave by itself at the end.
  const own = connections.to(member);
  await own.run({ purpose: "log in", script: "true", timeoutSeconds: 30 });
  if (member.role !== "witness") {
    const named = await requireElsewhere(opened, { member, node, asked });
    await emptyServer(opened, { member, node, asked, named, signal });
  }
  signal.throwIfAborted();
  // A voter that leaves without that stays in the count of those that must agree.
  if (votes(member.role) && node.role === "manager") {
    await demote(asked.server, node);
    world.say(`${name} votes no more`);
  }
  await waitFor(
    asked,
    { world, signal, late: `${name} to be a worker` },
    (view) => nodeOf(member, view)?.role === "worker",
  );
  await leaveSwarm(own);
  world.say(`${name} has left`);
  await waitFor(
    asked,
    { world, signal, late: `${name} to be down` },
    (view) => nodeOf(member, view)?.state === "down",
  );
  await forgetNode(asked.server, { node, isGone: false });
  return [`${name} has left the Swarm of ${opened.fleet.stack}: nothing runs there, and it does not vote`];
}

async function waitFor(
  { server }: Asked,
  {
    world,
    signal,
    late,
  }: { readonly world: ServersWorld; readonly signal: AbortSignal; readonly late: string },
  condition: (view: Asked["view"]) => boolean,
): Promise<void> {
  await until(
    async () => {
      signal.throwIfAborted();
      return condition(await readSwarm(server));
    },
    {
      limit: LEAVE_SECONDS * 1000,
      every: 2000,
      signal,
      ...(world.clock && { clock: world.clock }),
      late: () =>
        new UserError(
          `expected ${late} within ${LEAVE_SECONDS} s, got no such node; look at docker node ls on ${server.name}`,
        ),
    },
  );
}

/** Its peers are asked first whether it is really down: one that lives would go on in a Swarm that does not know it. */
async function removeLost({ opened, member, asked }: Removal): Promise<string[]> {
  const { fleet, world } = opened;
  const { name } = member;
  const { reached } = await confirmDown(opened, { member, asked });
  if (reached.length > 0)
    throw new UserError(
      `${name}: expected a server that is down, got one that still answers:\n${reached.map((line) => `  ${line}`).join("\n")}\nremove it without --gone`,
    );
  if (member.labels.includes("gateway")) {
    await takeOut(await findNamed(opened, member), opened);
    await forgetRecords(opened, member);
  }
  const node = nodeOf(member, asked.view);
  if (node !== undefined) {
    await setAvailability(asked.server, { node, availability: "drain" });
    if (node.role === "manager") await demote(asked.server, node);
    await forgetNode(asked.server, { node, isGone: true });
  }
  const server = keyOf(fleet.environment, name);
  const forgotten = await forgetHost(fleet.stack, world.pulumi, { server });
  return [
    `${name} is out of the Swarm of ${fleet.stack}; ${forgotten.length} resources that were on it have left the state`,
    `never start it again as it is: reinstall or cancel it in OVH's control panel`,
  ];
}

/** Another machine in its place, or the settings without it, where the rules let it go. */
function nextOfLost(fleet: Fleet, member: Member): string[] {
  const { stack } = fleet;
  return [
    "now another machine under its name:",
    ...replacement(fleet, member),
    `  npm run deploy -- ${stack}`,
    ...(mayGo(fleet, member) ? ["or no machine in its place:", ...nextSteps(fleet, member).slice(1)] : []),
  ];
}

function mayGo(fleet: Fleet, member: Member): boolean {
  try {
    requireRest(fleet, member);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** What is left to do: the settings, and what protects its resources. */
function nextSteps(fleet: Fleet, { name }: Member): string[] {
  const { stack, environment, resources } = fleet;
  const index = entriesOf(fleet).findIndex((entry) => entry.name === name);
  const vps = resources.find(
    ({ urn, type }) => type === "technicia:ovh:Vps" && serverOf(nameOf(urn)) === name,
  );
  const isProtected = environment.protectData && vps !== undefined;
  return [
    "now the settings, which still name it:",
    ...(index < 0 ? [] : [`  ${removal(fleet, index)}`]),
    ...(isProtected ? [`  npx pulumi state unprotect '${vps.urn}' --stack ${stack} --yes`] : []),
    `  npm run deploy -- ${stack}`,
  ];
}

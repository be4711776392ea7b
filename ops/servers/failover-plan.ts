/** What a failover does, what it cannot do, and what a person types then. */
import { votes } from "../../common/servers.ts";
import { UserError } from "../../common/user-error.ts";
import { renderTime, short } from "../backup/backup.ts";
import { isBackedUp } from "../backup/status.ts";
import { chooseSet } from "../recovery/chosen-set.ts";
import type { Member } from "../fleet/fleet.ts";
import { describeRecord, findNamed, type Named } from "./names.ts";
import { replacement } from "./replacement.ts";
import { fits, nodeOf, takesTasks, type Asked, type Node } from "../fleet/swarm.ts";
import type { Opened } from "./world.ts";

export interface FailoverPlan {
  /** Undefined where the Swarm has no node of it. */
  readonly node: Node | undefined;

  /** Undefined for a server to which no visitors come. */
  readonly named: Named | undefined;

  /** Services that start on another server, or have done so. */
  readonly moving: readonly string[];

  /** Services that no other server may run: their data is on this one. */
  readonly stranded: readonly string[];

  /** How many servers that vote are left, and of how many. */
  readonly voters: { readonly left: number; readonly all: number };
}

export async function planFailover(
  opened: Opened,
  { member, asked }: { readonly member: Member; readonly asked: Asked },
): Promise<FailoverPlan> {
  const { fleet } = opened;
  const { view } = asked;
  const node = nodeOf(member, view);
  const others = view.nodes.filter((one) => one.id !== node?.id && takesTasks(one));
  const here = new Set(
    view.tasks.filter((task) => node !== undefined && task.node === node.id).map(({ service }) => service),
  );
  const isStranded = (service: (typeof view.services)[number]) =>
    !others.some((one) => fits(service, one)) && (node === undefined || fits(service, node));
  const voting = fleet.members.filter(({ role }) => votes(role));
  const left = voting.filter((one) => one !== member && nodeOf(one, view)?.reachability === "reachable");
  return {
    node,
    named: member.labels.includes("gateway") ? await findNamed(opened, member) : undefined,
    moving: view.services.filter((one) => here.has(one.id) && !isStranded(one)).map(({ name }) => name),
    stranded: view.services.filter(isStranded).map(({ name }) => name),
    voters: { left: left.length, all: voting.length },
  };
}

export function renderPlan(
  { named, node, moving, stranded, voters }: FailoverPlan,
  { name }: Member,
): string[] {
  return [
    ...(named?.records ?? []).map((record) => `removes from DNS: ${describeRecord(record)}`),
    ...(named?.onlyHere ?? []).map(
      (only) => `keeps in DNS the only address of ${only}: nobody else takes visitors`,
    ),
    node === undefined
      ? `the Swarm has no node of ${name}`
      : `${name} gets no tasks any more, also when it comes back${node.availability === "drain" ? " (it is drained already)" : ""}`,
    `runs elsewhere: ${moving.join(", ") || "nothing that ran there"}`,
    ...(stranded.length === 0
      ? []
      : [
          `stays down, because its data is on ${name} and it would start empty elsewhere: ${stranded.join(", ")}`,
        ]),
    `${voters.left} of ${voters.all} servers that vote are left; ${Math.floor(voters.all / 2) + 1} must agree`,
  ];
}

/** What a person does afterwards: for a server that comes back, and for one that is lost for good. */
export async function renderNext(
  opened: Opened,
  { member, plan }: { readonly member: Member; readonly plan: FailoverPlan },
): Promise<string[]> {
  const { fleet } = opened;
  const { stack } = fleet;
  const { name } = member;
  const back = `when ${name} is back: npm run servers -- ${stack} undrain ${name}`;
  if (plan.stranded.length === 0)
    return [back, `when it is lost for good: npm run servers -- ${stack} remove ${name} --gone`];
  return [
    `${back} (nothing is lost then)`,
    `when it is lost for good, stop it in OVH's control panel, so that it never comes back with old data, and put another machine under its name; ${await describeSet(opened)}`,
    ...replacement(fleet, member),
    `  npm run recover -- ${stack}`,
  ];
}

/** The set whose data would come back; why that is not known does not matter to the rest. */
async function describeSet({ fleet, world }: Opened): Promise<string> {
  if (!isBackedUp(fleet.environment)) return "there are no backups to bring back";
  try {
    const set = await chooseSet({ stack: fleet.stack, set: undefined }, world);
    const minutes = Math.round((world.now().getTime() - Date.parse(set.storedAt)) / 60_000);
    return `what came after the set ${short(set.id)} of ${renderTime(set.storedAt)} UTC (${minutes} minutes ago) is lost then`;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `which set of backups would come back is not known: ${error.message}`;
  }
}

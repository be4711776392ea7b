/**
 * The servers of an environment, as the checks reach them. What is checked on each, or at the gateway of each, is a row of its own with its name;
 * the rows of an only server have none.
 */
import type { Check } from "../../common/check.ts";
import { UserError } from "../../common/user-error.ts";
import { nameOf } from "../../common/urn.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { areSeveral } from "../../stacks/servers.ts";
import { FIRST, keyOf } from "../engine/deployed-servers.ts";
import { type Connections, type Fleet, type Member, readFleet } from "../fleet/fleet.ts";
import { askManagers, nodeOf } from "../fleet/swarm.ts";
import type { Server } from "../server/connection.ts";
import { type CheckContext, openAccess, type ServerAccess } from "./context.ts";
import { type Finding, notChecked, type Probe } from "./probe.ts";
import type { PublicSite } from "./public/gateway.ts";

export interface Machine {
  /** Undefined: the only one. */
  readonly name: string | undefined;
  readonly access: ServerAccess;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly isGateway: boolean;

  /** A witness only votes. */
  readonly runsServices: boolean;
  readonly keepsMonitoring: boolean;

  /** Its work is elsewhere on purpose. */
  readonly isDrained: boolean;
}

export interface Machines {
  /** Whether each of them can be reached. */
  readonly checks: readonly Check[];

  /** The way to the server of the data. */
  readonly access: ServerAccess;
  readonly all: readonly Machine[];
  readonly gateways: readonly Machine[];
}

/** Logs in to each of them; `id` is that of the check whether it can be reached. */
export async function openMachines(context: CheckContext, id: string): Promise<Machines> {
  const { check, access } = await openAccess(context, id);
  const found = await deployedFleet(context);
  if (found === undefined || "why" in found) {
    const only = onlyMachine(context, access);
    const why = found && {
      id: `${id}-others`,
      title: "Autres serveurs joignables",
      ...notChecked(found.why),
    };
    return { checks: why === undefined ? [check] : [check, why], access, all: [only], gateways: [only] };
  }
  const { fleet, connections } = found;
  const drained = await drainedIn(found);
  const opened = await Promise.all(
    fleet.members.map(async (member) => {
      const own =
        member === fleet.home
          ? { check, access }
          : await openAccess({ ...context, server: serverFor(member, connections) }, id);
      const machine = { ...machineOf(member, { fleet, context }), isDrained: drained.has(member) };
      return { check: own.check, machine: { ...machine, access: own.access } };
    }),
  );
  const all = opened.map(({ machine }) => machine);
  return {
    checks: opened.map((one, index) => ({ ...one.check, ...rowOf(one.machine, { index, row: one.check }) })),
    access,
    all,
    gateways: all.filter(({ isGateway }) => isGateway),
  };
}

interface Deployed {
  readonly fleet: Fleet;
  readonly connections: Connections;
}

/** Undefined for an only server. */
async function deployedFleet({
  environment,
  outputs,
  stack,
  pulumi,
  server,
  connections,
}: CheckContext): Promise<Deployed | { readonly why: string } | undefined> {
  if (!areSeveral(environment) || outputs === undefined || connections === undefined) return undefined;
  try {
    const fleet = await readFleet(stack, { pulumi });
    if (!fleet.isSeveral) return undefined;
    if (server !== undefined) connections.lend(fleet.home, server);
    return { fleet, connections };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return {
      why: `les serveurs déployés ne sont pas connus, seul celui des données est vérifié : ${error.message}`,
    };
  }
}

/** Those whose work a person has moved away; none where no manager answers. */
async function drainedIn({ fleet, connections }: Deployed): Promise<ReadonlySet<Member>> {
  try {
    const { view } = await askManagers(fleet, connections);
    const isDrained = (member: Member) =>
      member.role !== "witness" && nodeOf(member, view)?.availability === "drain";
    return new Set(fleet.members.filter(isDrained));
  } catch (error) {
    if (error instanceof UserError) return new Set();
    throw error;
  }
}

function serverFor(member: Member, connections: Connections): Server | undefined {
  return member.ssh === undefined ? undefined : connections.to(member);
}

function machineOf(
  { name, role, labels, ssh }: Member,
  { fleet, context: { outputs } }: { readonly fleet: Fleet; readonly context: CheckContext },
): Omit<Machine, "access" | "isDrained"> {
  const key = keyOf(fleet.environment, name);
  const vps = fleet.resources.find(
    ({ type, urn }) => type === "technicia:ovh:Vps" && (serverOf(nameOf(urn)) ?? FIRST) === key,
  );
  const ipv6 = vps?.outputs?.["ipv6"];
  return {
    name,
    ipv4: ssh?.address,
    ipv6: name === fleet.home.name ? outputs?.ipv6 : typeof ipv6 === "string" ? ipv6 : undefined,
    isGateway: labels.includes("gateway"),
    runsServices: role !== "witness",
    keepsMonitoring: labels.includes("monitoring"),
  };
}

function onlyMachine({ outputs }: CheckContext, access: ServerAccess): Machine {
  const place = { name: undefined, access, ipv4: outputs?.ipv4, ipv6: outputs?.ipv6 };
  return { ...place, isGateway: true, runsServices: true, keepsMonitoring: true, isDrained: false };
}

type Row = Pick<Probe, "id" | "title">;

/** The first one keeps the id of an only server, by which releases are compared. */
function rowOf({ name }: Machine, { index, row }: { readonly index: number; readonly row: Row }): Row {
  const { id, title } = row;
  if (name === undefined) return { id, title };
  return { id: index === 0 ? id : `${id}-${name}`, title: `${title} (${name})` };
}

/** A row for each of them. */
export function probesOf(
  machines: readonly Machine[],
  row: Omit<Probe, "find">,
  find: (machine: Machine, signal: AbortSignal) => Finding | Promise<Finding>,
): Probe[] {
  return machines.map((machine, index) => ({
    ...row,
    ...rowOf(machine, { index, row }),
    find: (signal) => find(machine, signal),
  }));
}

/** A row for each gateway, asked at its own address whatever the names say. */
export function gatewayProbes(
  { gateways, site }: { readonly gateways: readonly Machine[]; readonly site: PublicSite },
  row: Omit<Probe, "find">,
  find: (site: PublicSite, signal: AbortSignal) => Finding | Promise<Finding>,
): Probe[] {
  return probesOf(gateways, row, ({ name, ipv4, isDrained }, signal) => {
    if (isDrained) return notChecked("serveur vidé : aucun visiteur n'y arrive");
    return find(name === undefined ? site : { ...site, address: ipv4 }, signal);
  });
}

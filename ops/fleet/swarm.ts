/** The Swarm of a stack's servers, as a manager knows it, and what is asked of that manager. */
import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { scriptParts } from "../../common/script.ts";
import { votes } from "../../common/servers.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";
import type { Connections, Fleet, Member } from "./fleet.ts";

const SCRIPTS = scriptParts(new URL("swarm.sh", import.meta.url), [
  "view",
  "availability",
  "demote",
  "forget",
  "scale",
  "leave",
]);

const node = z.object({
  id: z.string(),
  hostname: z.string(),

  /** `ready`, `down`, `unknown`, `disconnected`. */
  state: z.string(),

  /** `active`, `pause`, `drain`. */
  availability: z.string(),

  /** `manager`, `worker`. */
  role: z.string(),

  /** At which it manages; of a worker, from which it came. */
  address: z.string(),
  isLeader: z.boolean(),

  /** `reachable`, `unreachable`, of a worker empty. */
  reachability: z.string(),

  /** `technicia.qdrant==1` */
  labels: z.array(z.string()),
});

const swarmView = z.object({
  nodes: z.array(node),
  services: z.array(
    z.object({
      id: z.string(),
      name: z.string(),

      /** Null: one on every server that fits. */
      replicas: z.number().nullable(),
      constraints: z.array(z.string()),
    }),
  ),

  /** Those that are to run, and those that still do. */
  tasks: z.array(
    z.object({
      service: z.string(),
      node: z.string(),
      state: z.string(),
      desired: z.string(),
      error: z.string(),
    }),
  ),
});

export type Node = z.output<typeof node>;
export type SwarmView = z.output<typeof swarmView>;
export type SwarmService = SwarmView["services"][number];

const VIEW_SECONDS = 60;

/** @throws UserError where the server manages no Swarm, or where that has no leader */
export async function readSwarm(server: Pick<Server, "name" | "run">): Promise<SwarmView> {
  const { stdout } = await server.run({
    purpose: "read the Swarm",
    script: SCRIPTS.view,
    timeoutSeconds: VIEW_SECONDS,
  });
  const read = swarmView.safeParse(parseJson(stdout));
  if (read.success) return read.data;
  throw new UserError(
    `${server.name}: expected nodes, services and tasks of the Swarm, got something else; look at docker node ls there`,
  );
}

/** What the managers said, and which of them. */
export interface Asked {
  readonly manager: Member;
  readonly server: Server;
  readonly view: SwarmView;
}

/** Asks the server of the data first, then the other managers, until one answers. `except`: one that is not asked. */
export async function askManagers(
  fleet: Fleet,
  connections: Connections,
  { except }: { readonly except?: Member } = {},
): Promise<Asked> {
  const others = fleet.members.filter((member) => member !== fleet.home && votes(member.role));
  const asked = [fleet.home, ...others].filter(({ name }) => name !== except?.name);
  const problems: string[] = [];
  for (const manager of asked) {
    try {
      const server = connections.to(manager);
      return { manager, server, view: await readSwarm(server) };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(`${manager.name}: ${error.message}`);
    }
  }
  throw new UserError(
    `${fleet.stack}: no manager of the Swarm answers for it, so nothing can be seen or changed:\n${problems.map((one) => `  ${one}`).join("\n")}\n` +
      "what runs goes on; start the servers that vote, and look at docker node ls on one of them (docs/operations.md, Servers)",
  );
}

/** The node of a server; of several at its address, what it was before it was installed anew comes last. */
export function nodeOf(member: Pick<Member, "address">, { nodes }: SwarmView): Node | undefined {
  // An only server has no address in a tunnel, and is the only node.
  const found = member.address === "" ? nodes : nodes.filter(({ address }) => address === member.address);
  return found.find(({ state }) => state === "ready") ?? found[0];
}

export function takesTasks({ state, availability }: Node): boolean {
  return state === "ready" && availability === "active";
}

/** Whether a service may have tasks on a node. */
export function fits({ constraints }: SwarmService, { labels }: Node): boolean {
  return constraints.every((constraint) => labels.includes(constraint.replace(/^node\.labels\./, "")));
}

export interface Unsettled {
  readonly service: string;

  /** Whether no server that takes tasks fits: it stays down on purpose. */
  readonly isStranded: boolean;
  readonly text: string;
}

/** Services of which not as many tasks run as should. */
export function findUnsettled({ nodes, services, tasks }: SwarmView): Unsettled[] {
  return services.flatMap((service): Unsettled[] => {
    const able = nodes.filter((one) => takesTasks(one) && fits(service, one)).map(({ id }) => id);
    const own = tasks.filter((task) => task.service === service.id && able.includes(task.node));
    const running = own.filter(({ state, desired }) => state === "running" && desired === "running").length;
    const wanted = service.replicas ?? able.length;
    // One that is everywhere where it fits, and fits nowhere, is down as well.
    if (running >= wanted && !(service.replicas === null && able.length === 0)) return [];
    const error = tasks.find((task) => task.service === service.id && task.error !== "")?.error;
    const why = error === undefined ? "" : ` (${error})`;
    return [
      {
        service: service.name,
        isStranded: able.length === 0,
        text: `${service.name}: ${running} of ${Math.max(wanted, 1)} run${why}`,
      },
    ];
  });
}

/** Names of the services with tasks that still run on a node. */
export function runningOn({ services, tasks }: SwarmView, { id }: Pick<Node, "id">): string[] {
  const found = tasks.filter((task) => task.node === id && task.state === "running");
  return found.map(({ service }) => services.find((one) => one.id === service)?.name ?? service).sort();
}

/** Services without a label whose tasks are all on one server, although others would take some. */
export function findCrowded({ nodes, services, tasks }: SwarmView): SwarmService[] {
  return services.filter((service) => {
    if (service.replicas === null || service.replicas < 2) return false;
    const able = nodes.filter((one) => takesTasks(one) && fits(service, one));
    const used = new Set(
      tasks
        .filter((task) => task.service === service.id && task.desired === "running")
        .map((one) => one.node),
    );
    return able.length > 1 && used.size === 1;
  });
}

type Manager = Pick<Server, "run">;

export async function setAvailability(
  manager: Manager,
  { node: { id }, availability }: { readonly node: Node; readonly availability: "active" | "drain" },
): Promise<void> {
  await manager.run({
    purpose: availability === "drain" ? "drain the node" : "let the node take tasks again",
    script: SCRIPTS.availability,
    variables: { NODE: id, AVAILABILITY: availability },
  });
}

export async function demote(manager: Manager, { id }: Node): Promise<void> {
  await manager.run({ purpose: "take the node's vote", script: SCRIPTS.demote, variables: { NODE: id } });
}

/** `isGone`: it cannot leave by itself. */
export async function forgetNode(
  manager: Manager,
  { node: { id }, isGone }: { readonly node: Node; readonly isGone: boolean },
): Promise<void> {
  await manager.run({
    purpose: "remove the node from the Swarm",
    script: SCRIPTS.forget,
    variables: { NODE: id, FORCE: isGone ? "yes" : "" },
  });
}

export async function setTasks(
  manager: Manager,
  { service: { name }, tasks }: { readonly service: SwarmService; readonly tasks: number },
): Promise<void> {
  await manager.run({
    purpose: `run ${tasks} tasks of ${name}`,
    script: SCRIPTS.scale,
    variables: { SERVICE: name, TASKS: String(tasks) },
  });
}

/** Run on the server that leaves; it has no vote any more. */
export async function leaveSwarm(server: Manager): Promise<void> {
  await server.run({ purpose: "leave the Swarm", script: SCRIPTS.leave });
}

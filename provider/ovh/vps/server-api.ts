import type { Call } from "../../plugin/definition.ts";
import type { OvhClient } from "../client.ts";
import { ifThere } from "../errors.ts";
import type { Journal } from "../order/journal.ts";
import { poll } from "../poll.ts";

/** How often to poll, and how long to wait. */
export interface Pace {
  /** First pause between two polls. */
  readonly pollMs: number;
  /** Longest wait for an order to be delivered. */
  readonly deliveryMs: number;
  /** Longest wait for the tasks of a server, an installation included. */
  readonly tasksMs: number;
  /** How long a paid order may still be shown as unpaid. */
  readonly paymentMs: number;
}

export const PACE: Pace = { pollMs: 500, deliveryMs: 3_600_000, tasksMs: 1_800_000, paymentMs: 120_000 };

/** What every step needs that makes or reads a server. */
export interface VpsContext {
  readonly client: OvhClient;
  readonly call: Call;
  readonly pace: Pace;
  readonly journal: Journal;
}

/** A server as OVH describes it now. */
export interface Facts {
  readonly serviceName: string;
  readonly displayName: string;
  readonly state: string;
  readonly netbootMode: string;
  readonly zone: string;
  readonly model: string;
  readonly vcore: number;
  readonly memoryMib: number;
  readonly diskGib: number;
  /** Why OVH locked it, if it did. */
  readonly lock: string | undefined;
  /** Operating system installed; undefined when OVH does not know. */
  readonly image: string | undefined;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly ipv6Gateway: string | undefined;
  readonly contract: Contract;
  /** Newest finished reinstallation; 0 when none is remembered. */
  readonly installTask: number;
  /** A reinstallation under way. */
  readonly installing: Task | undefined;
}

/** The contract of a service. */
export interface Contract {
  readonly status: string;
  readonly expiration: string;
  readonly canDeleteAtExpiration?: boolean;
  readonly renew: { readonly deleteAtExpiration: boolean } | null;
}

export interface Task {
  readonly id: number;
  readonly type: string;
  readonly state: string;
  readonly progress: number;
  readonly date: string;
}

interface Vps {
  readonly name: string;
  readonly displayName: string | null;
  readonly state: string;
  readonly netbootMode: string;
  readonly zone: string;
  readonly vcore: number;
  readonly memoryLimit: number;
  readonly model: {
    readonly name: string;
    readonly disk: number;
    readonly memory: number;
    readonly vcore: number;
  };
  readonly lockStatus?: { readonly locked: boolean; readonly reason?: string } | null;
}

interface Address {
  readonly ipAddress: string;
  readonly version: string;
  readonly type: string;
  readonly gateway: string | null;
}

const FINISHED = ["done", "error", "cancelled"];
const INSTALLATION = "reinstallVm";

export function serverPath(serviceName: string): string {
  return `/vps/${encodeURIComponent(serviceName)}`;
}

/** Reads everything about a server. A 404 means that the server does not exist. */
export async function readFacts(
  { client, call }: Pick<VpsContext, "client" | "call">,
  serviceName: string,
): Promise<Facts> {
  const path = serverPath(serviceName);
  const { signal } = call;
  // This request goes first and alone, because its 404 means a missing server; later ones may miss only a part.
  const vps = await client.get<Vps>(path, { signal });
  const [contract, image, addresses, tasks] = await Promise.all([
    client.get<Contract>(`${path}/serviceInfos`, { signal }),
    readImage(client, path, signal),
    readAddresses(client, path, signal),
    readTasks({ client, call }, serviceName),
  ]);
  const installations = tasks.filter(({ type }) => type === INSTALLATION);
  const primary = (version: string): Address | undefined =>
    addresses.find((address) => address.version === version && address.type === "primary") ??
    addresses.find((address) => address.version === version);
  return {
    serviceName: vps.name,
    displayName: vps.displayName ?? vps.name,
    state: vps.state,
    netbootMode: vps.netbootMode,
    zone: vps.zone,
    model: vps.model.name,
    vcore: vps.vcore,
    memoryMib: vps.memoryLimit,
    diskGib: vps.model.disk,
    lock: vps.lockStatus?.locked ? (vps.lockStatus.reason ?? "unknown") : undefined,
    image,
    ipv4: primary("v4")?.ipAddress ?? "",
    ipv6: primary("v6")?.ipAddress ?? "",
    ipv6Gateway: primary("v6")?.gateway ?? undefined,
    contract,
    installTask: newest(installations.filter(({ state }) => state === "done"))?.id ?? 0,
    installing: installations.find(isUnfinished),
  };
}

function newest(tasks: readonly Task[]): Task | undefined {
  return [...tasks].sort((a, b) => Date.parse(a.date) - Date.parse(b.date) || a.id - b.id).at(-1);
}

// Servers from before 2020 have templates instead of images, and OVH answers 404 here.
async function readImage(client: OvhClient, path: string, signal: AbortSignal): Promise<string | undefined> {
  return (await ifThere(client.get<{ name: string }>(`${path}/images/current`, { signal })))?.name;
}

async function readAddresses(
  client: OvhClient,
  path: string,
  signal: AbortSignal,
): Promise<readonly Address[]> {
  const list = await client.get<readonly string[]>(`${path}/ips`, { signal });
  return Promise.all(
    list.map((address) => client.get<Address>(`${path}/ips/${encodeURIComponent(address)}`, { signal })),
  );
}

/** Every task of a server that OVH remembers. */
export async function readTasks(
  { client, call }: Pick<VpsContext, "client" | "call">,
  serviceName: string,
): Promise<readonly Task[]> {
  const path = `${serverPath(serviceName)}/tasks`;
  const ids = await client.get<readonly number[]>(path, { signal: call.signal });
  const tasks = await Promise.all(ids.map((id) => readTask({ client, call }, path, id)));
  return tasks.filter((task) => task !== undefined);
}

// OVH may forget a finished task between the two requests.
function readTask(
  { client, call }: Pick<VpsContext, "client" | "call">,
  path: string,
  id: number,
): Promise<Task | undefined> {
  return ifThere(client.get<Task>(`${path}/${id}`, { signal: call.signal }));
}

export function isInstallation(task: Task): boolean {
  return task.type === INSTALLATION;
}

export function isUnfinished(task: Task): boolean {
  return !FINISHED.includes(task.state);
}

/** Polls at the pace of this context. */
export function pollFor<Answer>(
  { call, pace }: Pick<VpsContext, "call" | "pace">,
  { limitMs, late }: { readonly limitMs: number; readonly late: () => string },
  look: () => Promise<Answer | undefined>,
): Promise<Answer> {
  return poll({ call, pollMs: pace.pollMs, limitMs, late }, look);
}

/** Waits until no task is unfinished and returns all tasks. */
export function awaitRest(context: VpsContext, serviceName: string): Promise<readonly Task[]> {
  let busy: Task | undefined;
  return pollFor(
    context,
    {
      limitMs: context.pace.tasksMs,
      late: () =>
        `${serviceName}: its task ${busy?.type} is still ${busy?.state} at ${busy?.progress} %; ` +
        "look at the server in OVH's control panel, then run pulumi up again, which continues from here",
    },
    async () => {
      const tasks = await readTasks(context, serviceName);
      busy = tasks.find(isUnfinished);
      if (!busy) return tasks;
      context.call.log.status(`${serviceName}: waiting for ${busy.type}, ${busy.progress} %`);
      return undefined;
    },
  );
}

import type { OvhClient } from "../client.ts";
import { ifThere } from "../errors.ts";
import { serverPath, type VpsContext } from "../order/context.ts";
import { poll } from "../poll.ts";

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
  /** In its canonical form; empty when OVH lists none. */
  readonly ipv6: string;
  readonly ipv6Gateway: string | undefined;
  readonly contract: Contract;
  /** Newest finished reinstallation; 0 when none is remembered. */
  readonly installTask: number;
  /** When it was requested; undefined when none is remembered. */
  readonly installedAt: string | undefined;
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
  readonly model: { readonly name: string; readonly disk: number };
  readonly lockStatus?: { readonly locked: boolean; readonly reason?: string } | null;
}

interface Address {
  readonly ipAddress: string;
  readonly version: string;
  readonly type: string;
  readonly gateway: string | null;
}

const FINISHED = ["done", "error", "cancelled"];

/** Reads everything about a server. A 404 means that the server does not exist. */
export async function readFacts(client: OvhClient, serviceName: string): Promise<Facts> {
  const path = serverPath(serviceName);
  // This request goes first and alone, because its 404 means a missing server; later ones may miss only a part.
  const vps = await client.get<Vps>(path);
  const [contract, image, addresses, tasks] = await Promise.all([
    client.get<Contract>(`${path}/serviceInfos`),
    // Servers from before 2020 have templates instead of images, and OVH answers 404 here.
    ifThere(client.get<{ name: string }>(`${path}/images/current`)),
    readAddresses(client, path),
    readTasks(client, serviceName),
  ]);
  const installations = tasks.filter(isInstallation);
  const installation = newest(installations.filter(({ state }) => state === "done"));
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
    image: image?.name,
    ipv4: primary("v4")?.ipAddress ?? "",
    ipv6: canonical(primary("v6")?.ipAddress ?? ""),
    ipv6Gateway: primary("v6")?.gateway ?? undefined,
    contract,
    installTask: installation?.id ?? 0,
    installedAt: installation?.date,
    installing: installations.find(isUnfinished),
  };
}

// OVH writes some addresses out in full, and the vendors of DNS answer with the short form.
function canonical(ipv6: string): string {
  return ipv6 === "" ? "" : new URL(`http://[${ipv6}]`).hostname.slice(1, -1);
}

function newest(tasks: readonly Task[]): Task | undefined {
  return [...tasks].sort((a, b) => Date.parse(a.date) - Date.parse(b.date) || a.id - b.id).at(-1);
}

async function readAddresses(client: OvhClient, path: string): Promise<readonly Address[]> {
  const list = await client.get<readonly string[]>(`${path}/ips`);
  return Promise.all(
    list.map((address) => client.get<Address>(`${path}/ips/${encodeURIComponent(address)}`)),
  );
}

/** Every task of a server that OVH remembers. */
async function readTasks(client: OvhClient, serviceName: string): Promise<readonly Task[]> {
  const path = `${serverPath(serviceName)}/tasks`;
  const ids = await client.get<readonly number[]>(path);
  // OVH may forget a finished task between the two requests.
  const tasks = await Promise.all(ids.map((id) => ifThere(client.get<Task>(`${path}/${id}`))));
  return tasks.filter((task) => task !== undefined);
}

export function isInstallation(task: Task): boolean {
  return task.type === "reinstallVm";
}

export function isUnfinished(task: Task): boolean {
  return !FINISHED.includes(task.state);
}

/** Waits until no task is unfinished and returns all tasks. */
export function awaitRest(context: VpsContext, serviceName: string): Promise<readonly Task[]> {
  let busy: Task | undefined;
  const late = (): string =>
    `${serviceName}: its task ${busy?.type} is still ${busy?.state} at ${busy?.progress} %; ` +
    "look at the server in OVH's control panel, then run pulumi up again, which continues from here";
  const look = async (): Promise<readonly Task[] | undefined> => {
    const tasks = await readTasks(context.client, serviceName);
    busy = tasks.find(isUnfinished);
    if (!busy) return tasks;
    context.call.log.status(`${serviceName}: waiting for ${busy.type}, ${busy.progress} %`);
    return undefined;
  };
  return poll(context, { limitMs: context.pace.tasksMs, late, look });
}

import type { Clock } from "../clock.ts";
import type { Jobs } from "../jobs.ts";
import type { Machine, MachineSpec } from "../machine/machine.ts";
import { notFound, OvhError } from "./errors.ts";
import type { ObjectStore } from "../machine/object-store.ts";
import type { Firewall, OvhState, Task, VpsService } from "./state.ts";

/** How long each slow state lasts, in milliseconds. */
export interface Delays {
  /** Order: paid, until it is being delivered. */
  checkingMs: number;
  /** Order: being delivered, until the server exists. */
  deliveringMs: number;
  /** The task `deliverVm`, which goes on after the order is delivered. */
  installingMs: number;
  /** Any other task: waiting before it starts. */
  taskMs: number;
  reinstallMs: number;
  rebootMs: number;
  /** Edge firewall being switched on or off. */
  firewallMs: number;
  /** Firewall rule being created or removed. */
  ruleMs: number;
  /** Zone refreshed, until the name servers answer it. */
  zoneRefreshMs: number;
}

export const NO_DELAYS: Delays = {
  checkingMs: 0,
  deliveringMs: 0,
  installingMs: 0,
  taskMs: 0,
  reinstallMs: 0,
  rebootMs: 0,
  firewallMs: 0,
  ruleMs: 0,
  zoneRefreshMs: 0,
};

/** Addresses that one server gets. */
export interface ServerAddress {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly ipv4Gateway: string;
  readonly ipv6Gateway: string;
  /** @default any */
  readonly datacentre?: string;
}

/** What the parts of the fake OVH share. */
export interface OvhContext {
  readonly state: OvhState;
  readonly clock: Clock;
  readonly delays: Delays;
  readonly machine: Machine;
  readonly store: ObjectStore;
  readonly jobs: Jobs;
  readonly addresses: readonly ServerAddress[];
  /** Operating systems that can be installed. */
  readonly images: readonly string[];
  /** Status of the refusal when a firewall rule's sequence is taken; both are seen in the wild. */
  readonly ruleConflictStatus: 400 | 409;
  /** Addresses that a name has, according to the DNS the API looks at. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
}

export function newId(context: OvhContext): number {
  return context.state.nextId++;
}

export function now(context: OvhContext): number {
  return context.clock.now();
}

/** The service of that name, unless OVH would refuse to talk about it. */
export function requireServer(context: OvhContext, serviceName: string): VpsService {
  const server = requireAnyServer(context, serviceName);
  if (server.expired) {
    throw new OvhError(460, { class: "Client::ServiceExpired", message: "This service is expired" });
  }
  return server;
}

export function requireAnyServer(context: OvhContext, serviceName: string): VpsService {
  const server = context.state.servers.find((candidate) => candidate.serviceName === serviceName);
  if (!server) throw notFound("This service does not exist");
  return server;
}

/** Addresses of a server: its IPv6 address, unless it has none, and its IPv4 address. */
export function addressesOf({ ipv4, ipv6 }: VpsService): readonly string[] {
  return ipv6 === "" ? [ipv4] : [ipv6, ipv4];
}

export function machineSpec(server: VpsService): MachineSpec {
  return {
    serviceName: server.serviceName,
    image: server.imageId,
    publicKey: server.publicKey,
    ipv4: server.ipv4,
    ipv6: server.ipv6,
  };
}

/** Applies the firewall at the edge. A rule being created does not count yet; one being removed still does. */
export async function enforce(context: OvhContext, firewall: Firewall): Promise<void> {
  const enabled =
    firewall.state === "disableFirewallPending" || (firewall.enabled && firewall.state === "ok");
  const rules = firewall.rules.filter((rule) => rule.state !== "creationPending");
  await context.machine.applyFirewall(firewall.ip, rules, enabled);
}

export function isBusy(task: Task): boolean {
  return !["done", "error", "cancelled"].includes(task.state);
}

/** The servers of an environment, from either of the two ways in which settings give them, and where what of it is. */
import { createHash } from "node:crypto";

import ipaddr from "ipaddr.js";

import { ONLY_SERVER, SERVER_LABELS, type ServerLabel } from "../common/servers.ts";
import type { Environment, Server, ServerSource } from "./environment.ts";
import type { Sections } from "./settings-schema.ts";

type Given = Pick<Sections, "server" | "servers">;

/** With one server, the list and `server` mean the same. */
export function serversOf({ server, servers }: Given): readonly [Server, ...Server[]] {
  const [first, ...others] = servers.map((entry): Server => {
    const { name, role, labels } = entry;
    const isAlone = servers.length === 1;
    return {
      ...{ name, role, labels: isAlone ? SERVER_LABELS : labels },
      ...sizeOf(withOwnSize(server, entry)),
      source: sourceOf(entry),
    };
  });
  if (first !== undefined) return [first, ...others];
  const only = { name: ONLY_SERVER, role: "manager", labels: SERVER_LABELS } as const;
  return [{ ...only, ...sizeOf(server), source: sourceOf(server) }];
}

type Size = Pick<Server, "vcores" | "memoryGib" | "diskGib" | "datacentre" | "image">;

export function sizeOf({ vcores, memoryGib, diskGib, datacentre, image }: Size): Size {
  return { vcores, memoryGib, diskGib, datacentre, image };
}

/** The values that servers share, with those of one of them in their place. */
export function withOwnSize(
  shared: Size,
  { vcores, memoryGib, diskGib, datacentre, image }: { readonly [Key in keyof Size]?: Size[Key] | undefined },
): Size {
  return {
    vcores: vcores ?? shared.vcores,
    memoryGib: memoryGib ?? shared.memoryGib,
    diskGib: diskGib ?? shared.diskGib,
    datacentre: datacentre ?? shared.datacentre,
    image: image ?? shared.image,
  };
}

function sourceOf({ serviceName, order }: Pick<Sections["server"], "serviceName" | "order">): ServerSource {
  return serviceName === undefined ? { kind: "order", ...order! } : { kind: "adopt", serviceName };
}

export function areSeveral({ servers }: Pick<Environment, "servers">): boolean {
  return servers.length > 1;
}

/** The servers with a label; at least one, as the rules demand. */
export function serversWith(
  { servers }: Pick<Environment, "servers">,
  label: ServerLabel,
): readonly Server[] {
  return servers.filter(({ labels }) => labels.includes(label));
}

/**
 * The servers where visitors arrive. The first one orders the certificate, and the others fetch it there: the server of the data, if it is among
 * them, because sets of backups take the certificate from there; or else the first of the list.
 */
export function gatewaysOf({ servers }: Pick<Environment, "servers">): readonly [Server, ...Server[]] {
  const found = serversWith({ servers }, "gateway");
  const home = homeOf({ servers });
  const sorted = [...found.filter((one) => one === home), ...found.filter((one) => one !== home)];
  // The rules demand one.
  return sorted as unknown as readonly [Server, ...Server[]];
}

/** The server of the data, which commands reach by ssh. */
export function homeOf({ servers }: Pick<Environment, "servers">): Server {
  return servers.find(({ labels }) => labels.includes("n8n")) ?? servers[0];
}

/** Each server with its address in the tunnel, that of the data and of the monitoring first; empty where there is only one. */
export function serversInTunnel(
  environment: Pick<Environment, "servers" | "wireguard">,
): readonly { readonly server: string; readonly address: string }[] {
  if (!areSeveral(environment)) return [];
  const home = homeOf(environment);
  const sorted = [home, ...environment.servers.filter((one) => one !== home)];
  return sorted.map(({ name }) => ({ server: name, address: tunnelAddress(environment.wireguard, name) }));
}

/**
 * A server's address in the tunnel. It follows from the name alone, so that a list in another order, or with one server less, changes no
 * address of the others.
 */
export function tunnelAddress({ cidr }: { readonly cidr: string }, name: string): string {
  const [start = "", prefix = ""] = cidr.split("/");
  // Neither the first nor the last address of the range is a host's.
  const hosts = 2 ** (32 - Number(prefix)) - 2;
  const index = 1 + (createHash("sha256").update(name).digest().readUInt32BE() % hosts);
  const octets = ipaddr.IPv4.parse(start).toByteArray();
  const first = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const address = first + index;
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

/** The servers of a rehearsed environment, where there are several. */
import type { ServerLabel, ServerRole } from "../common/servers.ts";
import { DATACENTRE, SECOND_DATACENTRE } from "./addresses.ts";

/** How many servers: three alike, or two and a small one elsewhere that only votes. */
export const SHAPES = ["1", "3", "2+1"] as const;
export type Shape = (typeof SHAPES)[number];

/** As `servers` of the settings has it. */
interface ListedServer {
  readonly name: string;
  readonly role: ServerRole;
  readonly order: { readonly subsidiary: string; readonly maxMonthlyPriceEur: number };
  readonly labels?: readonly ServerLabel[];
  readonly datacentre?: string;
  readonly vcores?: number;
  readonly memoryGib?: number;
  readonly diskGib?: number;
}

const ORDER = { subsidiary: "FR", maxMonthlyPriceEur: 30 };

const MANAGERS: readonly ListedServer[] = [
  {
    ...{ name: "gra-1", role: "manager", order: ORDER },
    labels: ["gateway", "qdrant", "n8n", "postgres", "monitoring"],
  },
  { name: "gra-2", role: "manager", order: ORDER, labels: ["gateway"] },
  { name: "gra-3", role: "manager", order: ORDER, labels: ["gateway"] },
];

/** In another region, and as small as OVH sells them. */
const WITNESS: ListedServer = {
  ...{ name: "temoin", role: "witness", order: ORDER },
  ...{ datacentre: SECOND_DATACENTRE.code, vcores: 4, memoryGib: 8, diskGib: 75 },
};

/** What the settings list; nothing for one server. */
export function listOf(shape: Shape): readonly ListedServer[] {
  if (shape === "1") return [];
  return shape === "3" ? MANAGERS : [...MANAGERS.slice(0, 2), WITNESS];
}

export interface Place {
  readonly datacentre: typeof DATACENTRE | typeof SECOND_DATACENTRE;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Where its servers are delivered, in the order of the list. */
export function placesOf(shape: Shape): readonly Place[] {
  const first = { datacentre: DATACENTRE, ipv4: DATACENTRE.server, ipv6: DATACENTRE.server6 };
  const others = DATACENTRE.others.map((one) => ({ datacentre: DATACENTRE, ...one }));
  const witness = {
    ...{ datacentre: SECOND_DATACENTRE, ipv4: SECOND_DATACENTRE.server, ipv6: SECOND_DATACENTRE.server6 },
  };
  if (shape === "1") return [first];
  return shape === "3" ? [first, ...others] : [first, ...others.slice(0, 1), witness];
}

/**
 * Installs the tunnel's program that works without a module of the kernel, which a container cannot load; `wg-quick` falls back to it by itself.
 * On a real server the module is part of the kernel. The first boot gives the network and dpkg's lock a little later than sshd.
 */
export const TUNNEL_AT_DELIVERY = `timeout 60 bash -c 'until getent hosts deb.debian.org >/dev/null; do sleep 0.5; done'
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends --option DPkg::Lock::Timeout=120 wireguard-go`;

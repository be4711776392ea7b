/** What several servers have that an only one has not, in the inventory; and how resources are named after their server. */
import { file, state, unit, unitFile, type Kind } from "./resource-kinds.ts";

/** In front of the name of a resource of another server than the first: `gra-2/host-swarm`. */
const OF_SERVER = /^[a-z][a-z0-9-]*\//;

/** The server of a resource that each server has; undefined for the first one, and for what they have together. */
export function serverOf(name: string): string | undefined {
  return OF_SERVER.exec(name)?.[0].slice(0, -1);
}

/** Its name without the server. */
export function roleOf(name: string): string {
  return name.replace(OF_SERVER, "");
}

export const rowsOfSeveral: readonly (Kind & { readonly names: readonly string[] })[] = [
  {
    ...file,
    names: ["host-wireguard-configuration"],
    effect: { repair: "the file is restored, and the tunnel takes it without a lost packet" },
  },
  { ...unitFile, names: ["host-wireguard-docker-override", "host-door-socket", "host-door-service"] },
  {
    ...unit,
    names: ["host-wireguard-unit"],
    effect: {
      repair: "the tunnel is there again, and Docker's networks between the servers with it",
    },
  },
  {
    ...state,
    names: ["host-wireguard-heard"],
    effect: {
      repair: "nothing automatic: it waits a minute for the server that does not answer, and names it",
    },
  },
  { ...file, names: ["host-door-program", "host-door-list"] },
  {
    ...state,
    names: ["technicia-gateway-second-start", "technicia-gateway-second-end"],
    layer: "containers",
  },
  {
    ...state,
    names: ["technicia-gateway-converged"],
    layer: "containers",
    effect: {
      repair: "nothing automatic: it waits until every server runs the gateway, and says which do not",
    },
  },
  {
    ...file,
    names: ["certificate-copy-program", "certificate-copy-settings", "certificate-copy-proof"],
    layer: "certificate",
  },
  {
    ...unitFile,
    names: ["certificate-copy-service", "certificate-copy-timer"],
    layer: "certificate",
  },
  { ...unit, names: ["certificate-copy-renewal"], layer: "certificate" },
  {
    ...state,
    names: ["certificate-copy-served"],
    layer: "certificate",
    effect: {
      repair:
        "the certificate is fetched from the server that orders it, and nginx reads it without dropping a connection",
    },
    since: () => ["file", "/opt/technicia/gateway/tls/current"],
  },
  { ...unit, names: ["host-door-unit"] },
  {
    ...file,
    names: ["server-monitoring-program-*", "server-monitoring-journal-settings"],
    layer: "containers",
  },
  {
    ...unitFile,
    names: [
      ...["server-monitoring-collect-service", "server-monitoring-journal-override"],
      ...["server-monitoring-access-socket", "server-monitoring-access-service"],
    ],
    layer: "containers",
  },
  {
    ...unit,
    names: [
      ...["server-monitoring-exporter", "server-monitoring-collect", "server-monitoring-journal-upload"],
      ...["server-monitoring-access-taken", "server-monitoring-access-sent"],
    ],
    layer: "containers",
  },
];

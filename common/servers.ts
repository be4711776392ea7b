/** Roles and labels of an environment's servers, and what runs where. Plain data: every folder reads it. */
import { monitoringServices, type ServiceName } from "./services.ts";

/** A witness votes with the managers and runs nothing, so that two large servers and a small one survive a loss. */
export const SERVER_ROLES = ["manager", "worker", "witness"] as const;

export type ServerRole = (typeof SERVER_ROLES)[number];

/** What a server may be for. `gateway` is where visitors arrive; each of the others is data that lives on one server. */
export const SERVER_LABELS = ["gateway", "qdrant", "n8n", "postgres", "monitoring"] as const;

export type ServerLabel = (typeof SERVER_LABELS)[number];

export const DATA_LABELS = [
  "qdrant",
  "n8n",
  "postgres",
  "monitoring",
] as const satisfies readonly ServerLabel[];

/** Name of the one server where the settings have no list. */
export const ONLY_SERVER = "main";

/** Longest time to live of a name of several servers, each of which may be taken out of it at any time. */
export const SHORT_TTL_SECONDS = 60;

/** TCP and UDP, in the tunnel: every server of a Swarm answers its others there. */
export const GOSSIP_PORT = 7946;

/** Whether a server votes on what the Swarm is to do. */
export function votes(role: ServerRole): boolean {
  return role !== "worker";
}

/** A label as the Swarm has it: `technicia.qdrant`. */
export function nodeLabel(label: ServerLabel): string {
  return `technicia.${label}`;
}

/** Where a service runs, of several servers: on those with a label, or on any that runs services. */
export function placeOf(
  service: ServiceName,
  { documents }: { readonly documents: { readonly enabled: boolean } },
): ServerLabel | "anywhere" {
  if ((monitoringServices as readonly ServiceName[]).includes(service)) return "monitoring";
  switch (service) {
    case "gateway":
    case "qdrant":
    case "n8n":
    case "postgres":
      return service;
    // n8n alone calls them.
    case "n8nRunners":
      return "n8n";
    case "documentProcessor":
      // It reads n8n's files.
      return documents.enabled ? "n8n" : "anywhere";
    default:
      return "anywhere";
  }
}

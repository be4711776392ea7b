/** Rules about what fits on the servers. */
import { enabledServices, type ServiceName } from "../common/services.ts";
import { placeOf } from "../common/servers.ts";
import type { Server } from "./environment.ts";
import { serversOf } from "./servers.ts";
import { has, type Judged, type Problem } from "./setting-rule.ts";

/** Memory that the operating system, dockerd and containerd need in addition to the services, in MiB. */
export const SYSTEM_MEMORY_MIB = 614;

export const capacityRules: readonly ((judged: Judged) => Problem[])[] = [memoryFits, coresFit];

/** The valid list of servers, or undefined while a rule about it is broken that these here build on. */
function listOf({ sections: { server, servers } }: Judged): readonly Server[] | undefined {
  if (server === undefined || servers === undefined) return undefined;
  return serversOf({ server, servers }).filter(({ role }) => role !== "witness");
}

/** What may run on a server at the same time: all that is pinned to it, and one of each service that may be anywhere. */
function runningOn(
  { labels }: Server,
  services: readonly ServiceName[],
  documents: { readonly enabled: boolean },
): ServiceName[] {
  return services.filter((service) => {
    const place = placeOf(service, { documents });
    return place === "anywhere" || labels.includes(place);
  });
}

function memoryFits(judged: Judged): Problem[] {
  const { given, sections } = judged;
  const { services, backup, monitoring, documents = { enabled: true } } = sections;
  const servers = listOf(judged);
  if (!services || !servers) return [];
  const isBackedUp = has(given, "backup", "project") || has(given, "backup", "bucket");
  const enabled = enabledServices({ services, monitoring: monitoring ?? { enabled: false } });
  return servers.flatMap((server): Problem[] => {
    const ceilings = [
      ...runningOn(server, enabled, documents).map((name) => ({ name, memoryMib: services[name].memoryMib })),
      ...(backup && isBackedUp && server.labels.includes("n8n")
        ? [{ name: "backup", memoryMib: backup.memoryMib + backup.drillMemoryMib }]
        : []),
    ];
    const sum = ceilings.reduce((total, { memoryMib }) => total + memoryMib, 0);
    const room = server.memoryGib * 1024 - SYSTEM_MEMORY_MIB;
    if (sum <= room) return [];
    const limits = ceilings.map(({ name, memoryMib }) => `${name} ${memoryMib}`).join(", ");
    const size = `${sizeSetting(judged, server, "memoryGib")} ${server.memoryGib}`;
    const text =
      `expected memory limits of at most ${room} MiB in all (${size} less ${SYSTEM_MEMORY_MIB} MiB for the system), ` +
      `got ${sum} MiB (${limits}); lower them by ${sum - room} MiB or raise ${sizeSetting(judged, server, "memoryGib")}`;
    return [{ path: ["services"], text }];
  });
}

function coresFit(judged: Judged): Problem[] {
  const { services, documents = { enabled: true } } = judged.sections;
  const servers = listOf(judged);
  if (!services || !servers) return [];
  return (Object.keys(services) as ServiceName[]).flatMap((name): Problem[] => {
    const { cpus } = services[name];
    const small = servers.find(
      (server) => cpus > server.vcores && runningOn(server, [name], documents).length > 0,
    );
    if (small === undefined) return [];
    const path = ["services", name, "cpus"];
    const most = `at most the server's cores (${sizeSetting(judged, small, "vcores")} ${small.vcores})`;
    return [{ path, text: `expected ${most}, got ${cpus}; set it with ${judged.commands.set(path)}` }];
  });
}

/** The setting that says how large a server is: its own, or the shared one. */
function sizeSetting(
  { sections: { servers = [] } }: Judged,
  { name }: Server,
  key: "memoryGib" | "vcores",
): string {
  const index = servers.findIndex((entry) => entry.name === name);
  return servers[index]?.[key] === undefined ? `server.${key}` : `servers[${index}].${key}`;
}

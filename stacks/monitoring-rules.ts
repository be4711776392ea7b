/** Rules between the settings of the monitoring. */
import { WEBHOOK_FORMATS } from "../common/alert-webhooks.ts";
import { WEBHOOKS } from "../common/services.ts";
import type { MonitoringSettings } from "./monitoring-schema.ts";
import type { Judged, Problem } from "./setting-rule.ts";

/** What a day of metrics takes at one measurement every 15 s, in MiB. */
const METRICS_MIB_PER_DAY = 20;

/** How much of a disk is for metrics and logs at most. */
const MONITORING_SHARE = 0.5;

export const monitoringRules: readonly ((judged: Judged) => Problem[])[] = [
  monitoringFitsDisk,
  rarelyAsked,
  escalationRises,
  webhooksAreDistinct,
  webhooksOfFormat,
  webhooksOfLevels,
  mailForAddresses,
  otherNeighbours,
];

// A disk that the monitoring alone fills would take n8n and Qdrant along.
function monitoringFitsDisk({ sections: { monitoring, server }, commands }: Judged): Problem[] {
  if (!monitoring || !server) return [];
  const excess = excessOnDisk(monitoring, server.diskGib);
  if (excess === undefined) return [];
  const set = commands.set(["server", "diskGib"]);
  const text =
    `expected at most ${excess.mostGib} GiB in all, half of the disk (server.diskGib ${server.diskGib}), got ${excess.keptGib} GiB ` +
    `(${excess.parts}); lower one of the three, or, where the plan has a larger disk, say so with ${set}`;
  return [{ path: ["monitoring"], text }];
}

type Kept = Readonly<
  Pick<MonitoringSettings, "enabled" | "scrapeSeconds" | "metricsDays" | "logsMaxGib" | "minFreeGib">
>;

/** How much more the monitoring would keep than half of a disk; undefined where it fits, or is off. */
export function excessOnDisk(
  { enabled, scrapeSeconds, metricsDays, logsMaxGib, minFreeGib }: Kept,
  diskGib: number,
): { readonly keptGib: number; readonly mostGib: number; readonly parts: string } | undefined {
  if (!enabled) return undefined;
  const metricsGib = Math.ceil((metricsDays * METRICS_MIB_PER_DAY * (15 / scrapeSeconds)) / 1024);
  const keptGib = metricsGib + logsMaxGib + minFreeGib;
  const mostGib = Math.floor(diskGib * MONITORING_SHARE);
  const parts = `metricsDays ${metricsDays}: about ${metricsGib}, logsMaxGib ${logsMaxGib}, minFreeGib ${minFreeGib}`;
  return keptGib <= mostGib ? undefined : { keptGib, mostGib, parts };
}

// Once a second, each would fill the base with documents, or use up the credit at the language model.
function rarelyAsked({ sections: { monitoring } }: Judged): Problem[] {
  if (!monitoring) return [];
  const routes = WEBHOOKS.flatMap((name) => [`/api/${name}`, `/webhook/${name}`]);
  return monitoring.observation.paths.flatMap((path, index): Problem[] => {
    if (!routes.includes(path)) return [];
    const text = `expected a path that neither writes nor asks a language model, got "${path}"; put it in monitoring.observation.once`;
    return [{ path: ["monitoring", "observation", "paths", index], text }];
  });
}

function escalationRises({ sections: { monitoring }, commands }: Judged): Problem[] {
  if (!monitoring) return [];
  return monitoring.escalation.slice(1).flatMap(({ level, afterMinutes }, index): Problem[] => {
    const before = monitoring.escalation[index]!;
    const at = ["monitoring", "escalation", index + 1];
    if (level <= before.level) {
      const text = `expected a level after ${before.level}, got ${level}; put the levels in their order, each once`;
      return [{ path: [...at, "level"], text }];
    }
    if (afterMinutes > before.afterMinutes) return [];
    const path = [...at, "afterMinutes"];
    const set = commands.set(path, String(before.afterMinutes * 2));
    const text = `expected more than ${before.afterMinutes}, the minutes of ${before.level}, got ${afterMinutes}; set it with ${set}`;
    return [{ path, text }];
  });
}

// The same address twice is one fault told twice, and Alertmanager refuses two receivers of one name.
function webhooksAreDistinct({ sections: { monitoring } }: Judged): Problem[] {
  const webhooks = monitoring?.receivers.webhooks ?? [];
  return webhooks.flatMap((webhook, index) =>
    (["name", "secret"] as const)
      .filter((key) => webhooks.findIndex((other) => other[key] === webhook[key]) < index)
      .map((key) => ({
        path: ["monitoring", "receivers", "webhooks", index, key],
        text: `expected a ${key} of its own, got "${webhook[key]}" again; put the levels of both into one entry, or change one`,
      })),
  );
}

function webhooksOfFormat({ sections: { monitoring }, commands }: Judged): Problem[] {
  const webhooks = monitoring?.receivers.webhooks ?? [];
  return webhooks.flatMap(({ format, secret }, index) => {
    const fitting: readonly string[] = WEBHOOK_FORMATS[format];
    if (fitting.includes(secret)) return [];
    const path = ["monitoring", "receivers", "webhooks", index, "secret"];
    const set = commands.set(path, fitting[0]);
    return [
      {
        path,
        text: `expected ${fitting.join(" or ")}, because its format is ${format}, got "${secret}"; set it with ${set}`,
      },
    ];
  });
}

function webhooksOfLevels({ sections: { monitoring } }: Judged): Problem[] {
  if (!monitoring) return [];
  const known: readonly string[] = monitoring.escalation.map(({ level }) => level);
  return monitoring.receivers.webhooks.flatMap(({ levels }, index) =>
    levels
      .filter((level) => level.startsWith("N") && !known.includes(level))
      .map((level) => ({
        path: ["monitoring", "receivers", "webhooks", index, "levels"],
        text: `expected a level of monitoring.escalation (${known.join(", ") || "it is empty"}), got "${level}"; add it there or remove it here`,
      })),
  );
}

// An address without a mail server is told nothing, and nobody would notice.
function mailForAddresses({ sections: { monitoring }, commands }: Judged): Problem[] {
  if (!monitoring || monitoring.mail) return [];
  const users = [
    ...(monitoring.receivers.team.emails.length > 0 ? ["monitoring.receivers.team.emails"] : []),
    ...(monitoring.escalation.some(({ emails }) => emails.length > 0) ? ["monitoring.escalation"] : []),
  ];
  if (users.length === 0) return [];
  const host = commands.set(["monitoring", "mail", "host"], "smtp.exemple.fr");
  const from = commands.set(["monitoring", "mail", "from"], "alertes@exemple.fr");
  const text = `expected a mail server, because ${users.join(" and ")} has addresses, got nothing; set it with ${host} and ${from}`;
  return [{ path: ["monitoring", "mail"], text }];
}

function otherNeighbours({ stack, sections: { monitoring }, commands }: Judged): Problem[] {
  if (!monitoring) return [];
  const names = monitoring.neighbours.map((neighbour) => neighbour.stack);
  return names.flatMap((name, index) => {
    const got = name === stack ? "itself" : names.indexOf(name) < index ? `${name} again` : undefined;
    if (got === undefined) return [];
    const path = ["monitoring", "neighbours", index];
    const text = `expected another environment, each once, got ${got}; remove it with ${commands.remove(path)}`;
    return [{ path: [...path, "stack"], text }];
  });
}

/** `npm run incident -- from-alerts <stack>`: one entry of the issues document for each fault that an alert of P1 or P2 reported. */
import { UserError } from "../../common/user-error.ts";
import { withoutInvisible } from "../../common/visible-text.ts";
import { currentRelease, type Release } from "../../common/release.ts";
import {
  endIncident,
  listIncidents,
  openIncident,
  type BookOptions,
  type NewIncident,
} from "../../reports/incidents/book.ts";
import type { Category, Incident } from "../../reports/incidents/incidents.ts";
import { ENVIRONMENTS, formatMoment, formatSeconds } from "../../reports/labels-fr.ts";
import { formatMetric, METRICS_FR } from "../../reports/metrics-fr.ts";
import { describeRelease } from "../../reports/tracking/steps.ts";
import type { Outcome } from "../command.ts";
import { clean } from "../monitoring/alerts.ts";
import { onMonitored, orReason, type Monitored } from "../monitoring/deployed.ts";
import { momentOf } from "../monitoring/durations.ts";
import { readFaults, type Fault } from "../monitoring/faults.ts";
import { lineOf } from "../monitoring/log-lines.ts";
import { filterOf, readLines } from "../monitoring/log-query.ts";
import { hideSecrets } from "../monitoring/log-secrets.ts";
import { readSecrets } from "../monitoring/logs.ts";
import { metricsOf } from "../monitoring/metric-catalog.ts";
import { readValues } from "../monitoring/metric-values.ts";
import { MonitoringOff } from "../monitoring/stores.ts";
import { readRules, type Rule } from "../monitoring/vmalert.ts";
import type { MonitoringWorld } from "../monitoring/world.ts";
import { readReleases } from "../server/records.ts";

/** Log lines in an entry, from some time before the fault to some time after it. */
const MOST_LINES = 8;
const BEFORE_SECONDS = 180;
const AFTER_SECONDS = 120;

const SHOWN_METRICS = ["errors", "p95", "requests", "cpu", "memory", "disk", "restarts"];

const PRIORITIES = { P1: "Critique", P2: "Haute" } as const;

/** Beginnings of the alerts' names; the first that fits counts. */
const CATEGORIES: readonly (readonly [RegExp, Category])[] = [
  [/^(Site|Server|Neighbour|Notifications)/, "Réseau"],
  [/^(Certificate|Ssh|Editor|Refused)/, "Sécurité"],
  [/Memory|Cpu|Load|Disk|Inodes|Latency|Slow|Traffic|Retried/, "Performance"],
  [
    /^(Backup|Drill|Configuration|Rule|Target|Monitoring|Collector|Alerts|Store|AccessLog|Journal)/,
    "Configuration",
  ],
];

export interface FromAlerts {
  readonly stack: string;

  /** A span such as `3d`, or a time. */
  readonly since: string;
}

export async function incidentsFromAlerts(
  { stack, since }: FromAlerts,
  world: MonitoringWorld,
  book: Pick<BookOptions, "path"> = {},
): Promise<Outcome> {
  const now = world.now();
  const wanted = momentOf("--since", { text: since, now });
  const open = (await listIncidents(book.path)).filter(({ status, alert }) => status === "Ouvert" && alert);
  // An entry that is still open may end with an alert that began long ago.
  const begun = open.map(({ seen }) => (seen[0]?.getTime() ?? Infinity) - BEFORE_SECONDS * 1000);
  const hide = hideSecrets(await readSecrets(stack, world));
  return await whereOn(stack, world, async (monitored) => {
    const { stores, server, environment } = monitored;
    const keptFrom = now.getTime() - environment.monitoring.metricsDays * 86_400_000;
    const from = new Date(Math.max(keptFrom, Math.min(wanted.getTime(), ...begun)));
    const evaluationSeconds = environment.monitoring.scrapeSeconds;
    const faults = await readFaults(stores, { from, until: now, evaluationSeconds });
    const { releases } = await readReleases(server);
    const done: string[] = [];
    for (const fault of faults) {
      // Of what ended before, nobody knows any more whether it was planned.
      const isNews = fault.quiet === undefined && fault.until >= wanted;
      done.push(...(await record({ fault, isNews, releases, hide, ...monitored }, book)));
    }
    return { text: done.join("\n") || `${stack}: no alert that has no entry`, exitCode: 0 };
  });
}

/** A stack without monitoring has no alert: nobody who runs this every day is to be bothered. */
async function whereOn(
  stack: string,
  world: MonitoringWorld,
  work: (monitored: Monitored) => Promise<Outcome>,
): Promise<Outcome> {
  try {
    return await onMonitored(stack, world, work);
  } catch (error) {
    if (!(error instanceof MonitoringOff)) throw error;
    return { text: error.message, exitCode: 0 };
  }
}

interface Seen extends Monitored {
  readonly fault: Fault;
  readonly isNews: boolean;
  readonly releases: readonly Release[];
  readonly hide: (text: string) => string;
}

async function record(seen: Seen, { path }: Pick<BookOptions, "path">): Promise<readonly string[]> {
  const { fault, isNews } = seen;
  const place = path === undefined ? {} : { path };
  const known = (await listIncidents(path)).find((entry) => isOf(entry, seen));
  if (known === undefined && !isNews) return [];
  const done: string[] = [];
  const id = known?.id ?? (await openIncident(await describe(seen), { ...place, now: fault.from })).id;
  if (known === undefined) done.push(`opened ${id}: ${fault.id}`);
  if (fault.isOver && (known === undefined || known.status === "Ouvert")) {
    const lasted = formatSeconds((fault.until.getTime() - fault.from.getTime()) / 1000);
    const solution = `Fin de l'alerte le ${formatMoment(fault.until)}, après ${lasted}.`;
    await endIncident(id, { ...place, at: fault.until, solution });
    done.push(`${id} ended: ${fault.id}`);
  }
  return done;
}

/** The same alert at the same time: two faults of one alert are two entries. */
function isOf(entry: Incident, seen: Seen): boolean {
  const { fault } = seen;
  if (entry.alert !== fault.id || entry.environment !== nameOf(stackOf(seen))) return false;
  const first = entry.seen[0] ?? new Date(entry.identified);
  // A person may have written only the day of the end.
  const end =
    entry.resolvedAt === undefined ? Infinity : Math.max(entry.resolvedAt.getTime(), first.getTime());
  return first <= fault.until && end >= fault.from.getTime();
}

/** Whose fault it is: that of a neighbour is noticed from here. */
function stackOf({ fault, stack }: Pick<Seen, "fault" | "stack">): string {
  const { neighbour } = fault.labels;
  return ENVIRONMENTS.some((known) => known.stack === neighbour) ? neighbour! : stack;
}

function nameOf(stack: string): string {
  return ENVIRONMENTS.find((known) => known.stack === stack)?.name ?? stack;
}

async function describe(seen: Seen): Promise<NewIncident> {
  const { fault, stores, stack, releases, hide } = seen;
  const { rules } = await readRules(stores);
  const told = textsOf(
    fault,
    rules.find(({ name, isAlerting }) => isAlerting && name === fault.title),
  );
  const line = (text: string) => clean(hide(text));
  const serving = currentRelease(
    releases.filter(({ finishedAt }) => finishedAt !== undefined && new Date(finishedAt) <= fault.from),
  );
  const { service, server } = fault.labels;
  const on = server === undefined ? "" : ` --server ${line(server)}`;
  const when = `--since "${fault.from.toISOString().slice(0, 16)}Z"`;
  return {
    stack: stackOf(seen),
    alert: fault.id,
    title: line(told["title"] ?? fault.title),
    category: CATEGORIES.find(([names]) => names.test(fault.title))?.[1] ?? "Autres",
    priority: fault.severity === "P1" ? PRIORITIES.P1 : PRIORITIES.P2,
    impact: line(told["meaning"] ?? ""),
    description: `Alerte ${fault.severity} ${line(fault.id)}, active depuis le ${formatMoment(fault.from)}. Ce qu'elle veut dire : ${line(told["runbook"] ?? "docs/alerts.md")}.`,
    symptoms: [
      ...[told["where"], told["value"]].flatMap((text) => (text === undefined ? [] : [line(text)])),
      `version en service : ${serving === undefined ? "inconnue" : describeRelease(serving)}`,
      await valuesAt(seen),
      ...(await linesAround(seen)).map((text) => `journal : ${text}`),
    ],
    diagnostics: [
      ...(told["action"] === undefined ? [] : [line(told["action"])]),
      `npm run logs -- ${stack}${service === undefined ? "" : ` ${line(service)}`}${on} ${when}`,
      `npm run alerts -- ${stack} history ${when}`,
    ],
  };
}

/** What the rule says of the fault; its templates are filled with the labels, and left out where they need more. */
function textsOf(fault: Fault, rule: Rule | undefined): Readonly<Record<string, string>> {
  if (rule === undefined) return {};
  const active = rule.alerts.find(({ labels }) => labels["id"] === fault.id);
  if (active !== undefined && fault.isActive) return active.annotations;
  const filled = Object.entries(rule.annotations).map(
    ([name, text]) =>
      [
        name,
        text.replaceAll(/\{\{\s*\$labels\.(\w+)\s*\}\}/g, (_, label: string) => fault.labels[label] ?? ""),
      ] as const,
  );
  return Object.fromEntries(filled.filter(([, text]) => !text.includes("{{")));
}

async function valuesAt({ stores, environment, fault }: Seen): Promise<string> {
  const metrics = metricsOf(environment).filter(({ key }) => SHOWN_METRICS.includes(key));
  const found = await orReason(
    readValues(stores, { queries: metrics.map(({ now }) => now), at: fault.from }),
  );
  if (found instanceof UserError) return `mesures : illisibles (${clean(found.message)})`;
  const values = metrics.flatMap(({ key, unit }, index) => {
    const value = found[index];
    return value === undefined ? [] : [`${METRICS_FR[key] ?? key} ${formatMetric(value, unit)}`];
  });
  return `mesures au début : ${values.join(", ") || "aucune"}`;
}

/** Errors first; without any, whatever was written. */
async function linesAround({ stores, fault, hide }: Seen): Promise<readonly string[]> {
  const span = {
    from: new Date(fault.from.getTime() - BEFORE_SECONDS * 1000),
    until: new Date(fault.from.getTime() + AFTER_SECONDS * 1000),
  };
  const { service, server } = fault.labels;
  for (const errors of service === undefined ? [true] : [true, false]) {
    const filter = filterOf({ service, server, errors, grep: undefined, request: undefined });
    const found = await orReason(readLines(stores, { ...span, filter, most: MOST_LINES }));
    if (found instanceof UserError) return [`illisible (${clean(found.message)})`];
    if (found.length > 0)
      return found
        .map(lineOf)
        .map(
          ({ at, service: by, message }) =>
            `${at.toISOString().slice(11, 19)} UTC ${clean(by)} : ${clean(hide(withoutInvisible(message)))}`,
        );
  }
  return ["aucune ligne à ce moment"];
}

/**
 * The recurring tasks of the operation: those of the team's maintenance guide, and this project's own. Each says who does it, and which record
 * shows when it was done; nothing else counts.
 */
import type { AuditEvent } from "../../common/release.ts";
import type { Missing, Records } from "../facts.ts";

/** When a task was done last: `at` in ISO 8601, undefined for never; or why that is not known. */
export type LastDone = { readonly at: string | undefined } | Missing;

export interface TaskFacts {
  readonly records: Records | Missing;

  /** When the scanner ran. @default not known */
  readonly scanned?: LastDone | undefined;

  /** Upgrades and reboots that wait for a maintenance. @default not known */
  readonly pending?: readonly string[] | Missing | undefined;

  /** The same of several servers other than that of the data, by name. @default not known */
  readonly othersPending?: ReadonlyMap<string, readonly string[] | Missing> | undefined;

  /** What done now means. */
  readonly now?: Date | undefined;
}

export interface Task {
  /** As a person types it. */
  readonly name: string;

  /** Days between two times; undefined: when somebody decides to. */
  readonly days: number | undefined;

  /** In French, for the team's document; begins with a small letter. */
  readonly title: string;

  /** Whether the server or the CI does it by itself; a person is needed only when that fails. */
  readonly isAutomatic: boolean;

  /** Whether only a person can say that it was done, with `npm run tasks -- <stack> done <name>`. */
  readonly isConfirmed: boolean;

  /** What a person types, with `CI: ` or `server: ` before it where that is who normally does it. */
  readonly how: (stack: string) => string;

  /** Where the last time is read from. */
  readonly record: string;

  readonly lastDone: (facts: TaskFacts) => LastDone;
}

export interface TaskSettings {
  /** The setting `backup.drillDays`. */
  readonly drillDays: number;

  /** The setting `monitoring.enabled`. */
  readonly isMonitored: boolean;

  /** Names of several servers other than that of the data. @default none */
  readonly otherServers?: readonly string[] | undefined;
}

const [DAILY, WEEKLY, MONTHLY] = [1, 7, 30];

/** A task is a table's row; the order is by period. */
export function tasksOf({ drillDays, isMonitored, otherServers = [] }: TaskSettings): readonly Task[] {
  return [
    ...DAILY_TASKS,
    ...WEEKLY_TASKS,
    {
      ...automatic("drill", drillDays, "essai de restauration"),
      how: (stack) => `server: npm run drill -- ${stack}`,
      ...DRILLED,
    },
    ...MONTHLY_TASKS.filter(({ name }) => isMonitored || name !== "alerts"),
    ...otherServers.map(patchesOf),
    {
      ...byHand("rotation", undefined, "rotation des clés"),
      how: (stack) => `npm run secrets -- ${stack} rotate`,
      record: "audit: secret",
      lastDone: audited(({ action }) => action === "secret"),
    },
  ];
}

/** The detail of the audit's line. */
export function describeDone({ name, title }: Pick<Task, "name" | "title">): string {
  return `tâche faite : ${title} (${name})`;
}

export function confirmation({ records }: TaskFacts, name: string): AuditEvent | undefined {
  if ("why" in records) return undefined;
  return records.history.findLast(({ action, detail }) => action === "task" && detail.endsWith(`(${name})`));
}

function automatic(name: string, days: number, title: string) {
  return { name, days, title, isAutomatic: true, isConfirmed: false };
}

function byHand(name: string, days: number | undefined, title: string) {
  return { name, days, title, isAutomatic: false, isConfirmed: false };
}

function confirmed(name: string, days: number, title: string) {
  return {
    ...byHand(name, days, title),
    isConfirmed: true,
    record: "audit: task",
    lastDone: (facts: TaskFacts): LastDone =>
      "why" in facts.records ? facts.records : { at: confirmation(facts, name)?.at },
  };
}

function audited(isIt: (event: AuditEvent) => boolean) {
  return ({ records }: TaskFacts): LastDone =>
    "why" in records ? records : { at: records.history.findLast(isIt)?.at };
}

function backedUp(find: (backups: NonNullable<Records["backups"]>) => string | undefined) {
  return ({ records }: TaskFacts): LastDone => {
    if ("why" in records) return records;
    return records.backups === undefined ? { why: "no backups are set up" } : { at: find(records.backups) };
  };
}

const DRILLED = {
  record: "status of the backups: drills",
  lastDone: backedUp(({ drills }) => drills.findLast(({ passed }) => passed)?.at),
};

const DAILY_TASKS: readonly Task[] = [
  {
    ...confirmed("logs", DAILY, "vérification des logs"),
    how: (stack) => `npm run logs -- ${stack} --errors`,
  },
  { ...confirmed("metrics", DAILY, "analyse des métriques"), how: (stack) => `npm run metrics -- ${stack}` },
  {
    ...automatic("backups", DAILY, "validation des backups"),
    how: (stack) => `server: npm run backups -- ${stack}`,
    record: "status of the backups: last set",
    lastDone: backedUp(({ last }) => last?.time),
  },
  {
    ...automatic("drift", DAILY, "recherche de dérive"),
    how: (stack) => `CI: npm run drift -- ${stack}`,
    record: "audit: drift",
    lastDone: audited(({ action }) => action === "drift"),
  },
];

const WEEKLY_TASKS: readonly Task[] = [
  {
    ...confirmed("performance", WEEKLY, "analyse des performances"),
    how: (stack) => `npm run metrics -- ${stack}`,
  },
  { ...confirmed("incidents", WEEKLY, "revue des incidents"), how: () => "npm run incident -- list" },
  { ...confirmed("documentation", WEEKLY, "mise à jour de la documentation"), how: () => "npm run report" },
  {
    ...automatic("scan", WEEKLY, "recherche de vulnérabilités"),
    how: (stack) => `CI: npm run scan -- ${stack}`,
    record: "scans/<stack>.json",
    lastDone: ({ scanned = { why: "nobody looked for a scan" } }) => scanned,
  },
  {
    ...confirmed("prune", WEEKLY, "suppression des vieux jeux de sauvegardes"),
    how: (stack) => `CI: npm run backups -- ${stack} --prune`,
  },
];

const MONTHLY_TASKS: readonly Task[] = [
  {
    ...confirmed("thresholds", MONTHLY, "revue des seuils d'alerte"),
    how: (stack) => `npm run alerts -- ${stack} rules`,
  },
  {
    ...confirmed("resources", MONTHLY, "optimisation des ressources"),
    how: (stack) => `npm run metrics -- ${stack}`,
  },
  {
    ...byHand("recovery", MONTHLY, "test de disaster recovery"),
    how: (stack) => `npm run drill -- ${stack}`,
    ...DRILLED,
  },
  {
    ...byHand("alerts", MONTHLY, "test des alertes"),
    how: (stack) => `npm run alerts -- ${stack} test`,
    record: "audit: alert-test",
    lastDone: audited(({ action }) => action === "alert-test"),
  },
  {
    ...byHand("patches", MONTHLY, "mises à jour du serveur"),
    how: (stack) => `npm run maintain -- ${stack}`,
    record: "audit: maintenance; apt on the server",
    lastDone: lastPatched(({ pending }) => pending),
  },
  {
    ...confirmed("check", MONTHLY, "lecture complète des sauvegardes"),
    how: (stack) => `CI: npm run backups -- ${stack} --check --read-data`,
  },
];

/** Of one of several servers. */
function patchesOf(server: string): Task {
  return {
    ...byHand(`patches-${server}`, MONTHLY, `mises à jour du serveur ${server}`),
    how: (stack) => `npm run maintain -- ${stack} --server ${server}`,
    record: `audit: maintenance; apt on ${server}`,
    lastDone: lastPatched(({ othersPending }) => othersPending?.get(server), `${server} : `),
  };
}

/** A server on which nothing waits needs no maintenance. `of`: what the audit's lines of this server begin with. */
function lastPatched(pendingIn: (facts: TaskFacts) => TaskFacts["pending"], of = "") {
  return (facts: TaskFacts): LastDone => {
    const pending = pendingIn(facts);
    if (Array.isArray(pending) && pending.length === 0 && facts.now !== undefined)
      return { at: facts.now.toISOString() };
    return audited(
      ({ action, detail }) => action === "maintenance" && detail.startsWith(`${of}maintenance terminée`),
    )(facts);
  };
}

export interface Due {
  /** First day on which it is to be done again, `2026-11-24`; undefined without a period, and where nothing is known. */
  readonly from: string | undefined;
  readonly isDue: boolean;
}

/** By the team's days. What was never done is due one period after the first release. */
export function dueOf(
  task: Pick<Task, "days" | "isAutomatic">,
  {
    last,
    began,
    today,
  }: { readonly last: LastDone; readonly began: string | undefined; readonly today: string },
): Due {
  const since = "why" in last ? undefined : (last.at ?? began);
  if (task.days === undefined || since === undefined) return { from: undefined, isDue: false };
  const from = addDays(dayOf(since), task.days);
  // What runs by itself has that day to do so.
  return { from, isDue: task.isAutomatic ? today > from : today >= from };
}

/** When the first release of an environment began. */
export function beganAt(records: Records | Missing): string | undefined {
  return "why" in records ? undefined : records.releases[0]?.startedAt;
}

const PARIS = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeZone: "Europe/Paris" });

/** A moment's day for the team, `2026-11-24`. */
export function dayOf(at: string): string {
  return PARIS.format(new Date(at));
}

function addDays(day: string, days: number): string {
  const date = new Date(`${day}T12:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

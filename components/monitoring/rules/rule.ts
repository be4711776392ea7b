/** How one alert is described, and how vmalert reads it. */
import { MONITORING_PORTS, SERVER_LABEL } from "../../../common/monitoring.ts";
import type { MonitoringFacts } from "../facts.ts";

export type Severity = "P1" | "P2" | "P3" | "info";

export interface Rule {
  /** Also the heading of its section in docs/alerts.md. */
  readonly name: string;

  readonly severity: Severity;

  /** MetricsQL or LogsQL that gives one row for each fault, and none while there is none. */
  readonly expr: string;

  /** How long the fault must last, in seconds. @default the first evaluation that sees it */
  readonly forSeconds?: number;

  /** How long it goes on firing after its row is gone, in seconds, where what follows from it may be seen for longer than usual. */
  readonly holdSeconds?: number;

  /** Label of the rows that tells one fault of this rule from another: `service`, `mountpoint`. */
  readonly subject?: string;

  /** Whether its rows are of one of several servers each, which their label `server` names. */
  readonly isOfServer?: true;

  /** What several rules measure with different limits: of those that fire, only the most severe is sent. */
  readonly topic?: string;

  /** Whether a release that makes it fire is rolled back. */
  readonly rollback?: true;

  /** Labels besides those of the rows. */
  readonly labels?: Readonly<Record<string, string>>;

  /** French, as vmalert's templates: what, where, how much beyond which limit, what that means for users, and what to do. */
  readonly title: string;
  readonly where: string;
  readonly value: string;

  /** What the value is beyond, with its unit, and for how long: `5 % pendant 10 min`. */
  readonly threshold: string;
  readonly meaning: string;
  readonly action: string;
}

/** One series that is kept for dashboards and reports. */
export interface Recording {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export const minutes = (count: number): number => count * 60;
export const days = (count: number): number => count * 86_400;

/** A limit, and how many minutes the value must be beyond it. */
export const lastingMinutes = (limit: string, count: number): string =>
  count === 0 ? limit : `${limit} pendant ${count} min`;

/** `{{ $value }}` with so many decimals. */
export const value = (decimals = 0): string => `{{ printf "%.${decimals}f" $value }}`;

export const label = (name: string): string => `{{ $labels.${name} }}`;

type Servers = Pick<MonitoringFacts, "servers">;

/** What an aggregation keeps apart: these labels, and the server where there are several. */
export function by({ servers }: Servers, ...labels: readonly string[]): string {
  const all = [...(servers.length > 0 ? [SERVER_LABEL] : []), ...labels];
  return all.length === 0 ? "" : ` by (${all.join(", ")}) `;
}

const SERVER = "serveur";

/** A rule about each server: its texts, which are about the server or about something on it, name that one where there are several. */
export function onEachServer({ servers }: Servers, rule: Rule): Rule {
  if (servers.length === 0) return rule;
  const name = label(SERVER_LABEL);
  const { title, where } = rule;
  const named = (text: string) => text.replace(SERVER, `${SERVER} ${name}`);
  return {
    ...rule,
    isOfServer: true,
    title: title.includes(SERVER) ? named(title) : `${title} sur ${name}`,
    where: where.startsWith(SERVER) ? named(where) : `${where}, ${SERVER} ${name}`,
  };
}

/** What a command needs to be about that server. */
export const ofServer = ({ servers }: Servers): string =>
  servers.length === 0 ? "" : ` --server ${label(SERVER_LABEL)}`;

/** Section of the runbook, as GitHub links to a heading. */
export const runbookOf = (name: string): string => `docs/alerts.md#${name.toLowerCase()}`;

/** The services that watch, as an alternative of a regular expression. */
export const MONITORING = Object.keys(MONITORING_PORTS).join("|");

/**
 * vmalert's alerting rule. `holdSeconds` is how long it goes on firing after a row is gone: a value that moves around its threshold is one
 * fault and not many.
 */
export function renderRule(rule: Rule, holdSeconds = 0) {
  const { name, severity, expr, forSeconds, subject, isOfServer, topic, rollback, labels } = rule;
  const hold = rule.holdSeconds ?? holdSeconds;
  const told = [...(isOfServer ? [SERVER_LABEL] : []), ...(subject === undefined ? [] : [subject])];
  const about = (text: string) => [text, ...told.map(label)].join("-");
  return {
    alert: name,
    expr,
    ...(forSeconds === undefined ? {} : { for: `${forSeconds}s` }),
    ...(hold === 0 ? {} : { keep_firing_for: `${hold}s` }),
    labels: {
      severity,
      id: about(name),
      ...(topic === undefined ? {} : { topic: about(topic) }),
      ...(rollback === undefined ? {} : { rollback: "yes" }),
      ...labels,
    },
    annotations: {
      title: rule.title,
      where: rule.where,
      value: rule.value,
      threshold: rule.threshold,
      meaning: rule.meaning,
      action: rule.action,
      runbook: runbookOf(name),
    },
  };
}

/**
 * How often a group is evaluated, and of which moment. vmalert would cut that moment down to a multiple of the interval, and learn of every
 * fault up to one interval later.
 */
export const evaluationOf = ({ scrapeSeconds }: Pick<MonitoringFacts, "scrapeSeconds">) => ({
  interval: `${scrapeSeconds}s`,
  eval_alignment: false,
});

/** A file of vmalert: the groups, each of which evaluates its rules in order. */
export const HEADER = "# Managed: a change made here by hand is found and undone.\n";

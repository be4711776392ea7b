/** Who is told of what: the one place that decides between levels and receivers. */
import type { MonitoringFacts } from "./facts.ts";
import type { Severity } from "./rules/rule.ts";

export type Level = MonitoringFacts["escalation"][number]["level"];

/** Alertmanager's receivers of people; a webhook has the name that its setting gives it, a level of the escalation its own. */
export type Receiver = string;

type Channel = "team" | "slack";

/** Who is told of which severity, by the seeds. Webhooks say themselves what they get. */
const CHANNELS: Readonly<Record<Severity, readonly Channel[]>> = {
  P1: ["team", "slack"],
  P2: ["team", "slack"],
  P3: ["slack"],
  info: ["slack"],
};

export const SEVERITIES = Object.keys(CHANNELS) as Severity[];

export const isMailed = ({ mail, receivers }: MonitoringFacts): boolean =>
  mail !== undefined && receivers.team.emails.length > 0;

/** Receivers of a severity; where it has none, mail takes the place of Slack. */
export function receiversOf(severity: Severity, facts: MonitoringFacts): Receiver[] {
  const found = [...webhooksOf(severity, facts), ...channelsOf(severity, facts)];
  return found.length === 0 && isMailed(facts) ? ["team"] : found;
}

/** Announcements are informative: no webhook can ask for those, because a pager is for what somebody has to do. */
export function announcementChannels(facts: MonitoringFacts): Channel[] {
  const found = channelsOf("info", facts);
  return found.length === 0 && isMailed(facts) ? ["team"] : found;
}

export interface Rung {
  readonly level: Level;
  readonly afterMinutes: number;

  /** The level's own addresses come first, as a receiver of the level's name. */
  readonly receivers: readonly Receiver[];

  /** Addresses of that receiver. */
  readonly emails: readonly string[];
}

/**
 * The levels of the escalation at which somebody is told. Where no level has anybody, each is told to everybody who gets a P1 besides the team's
 * mail: the ladder is never silently absent.
 */
export function ladderOf(facts: MonitoringFacts): Rung[] {
  const rungs = facts.escalation.map(({ level, afterMinutes, emails: addresses }): Rung => {
    const emails = facts.mail === undefined ? [] : addresses;
    const receivers = [...(emails.length > 0 ? [level] : []), ...webhooksOf(level, facts)];
    return { level, afterMinutes, receivers, emails };
  });
  const addressed = rungs.filter(({ receivers }) => receivers.length > 0);
  if (addressed.length > 0) return addressed;
  const everybody = receiversOf("P1", facts).filter((receiver) => receiver !== "team");
  return everybody.length === 0 ? [] : rungs.map((rung) => ({ ...rung, receivers: everybody }));
}

function channelsOf(severity: Severity, facts: MonitoringFacts): Channel[] {
  return CHANNELS[severity].filter((channel) =>
    channel === "team" ? isMailed(facts) : facts.receivers.slack,
  );
}

function webhooksOf(level: Severity | Level, { receivers }: MonitoringFacts): Receiver[] {
  return receivers.webhooks
    .filter(({ levels }) => (levels as readonly string[]).includes(level))
    .map(({ name }) => name);
}

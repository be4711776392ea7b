/**
 * Silences of planned work: exactly the alerts that the work causes, visibly, and no longer than it lasts. The work itself never fails because of
 * that: where nobody can be silenced, somebody is told of what is planned.
 */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { endSilence, ESCALATION, makeSilence, PLANNED, type Matcher } from "./alertmanager.ts";
import { renderMoment, renderSpan } from "./durations.ts";
import { LOOPBACK, openStores, type Addresses } from "./stores.ts";

/** A service that stands still or starts again; each alert names it as `service`. */
const OF_SERVICES = [
  "ServiceDown",
  "HealthFailing",
  "ServiceNotRunning",
  "CrashLoop",
  "ServiceErrors",
  "SiteDown",
  "AccessLogSilent",
  "MonitoringRestarts",
];

/** What visitors get meanwhile; none of these names a service. */
const OF_SITE = [
  "CriticalErrors",
  "ErrorRateCritical",
  "ErrorRateHigh",
  "ErrorRateElevated",
  "LatencyCritical",
  "LatencyHigh",
  "LatencyMedian",
  "LatencyTail",
  "QuestionsFailing",
  "RequestsRetried",
  "SlowRequestCritical",
  "SlowRequestHigh",
  "SlowRequestElevated",
  "UploadsFailing",
  "WorkflowsFailing",
];

/** What is measured of a service and of the monitoring itself; each alert names it as `job`. */
const OF_JOBS = ["TargetDown", "MonitoringDown", "RuleErrors", "AlertsNotSent"];

/** The load of the work itself. */
const OF_LOAD = [
  "CpuHigh",
  "LoadHigh",
  "LoadCritical",
  "HostMemoryCritical",
  "HostMemoryHigh",
  "HostMemoryExhausted",
  "HostMemoryElevated",
  "HostMemoryAboveTarget",
  "AvailableMemoryCritical",
  "AvailableMemoryLow",
  "CollectorSlow",
  "RulesLate",
];

/** The server itself, while it is upgraded and boots. */
const OF_HOST = [
  ...OF_LOAD,
  "ClockUnsynchronised",
  "ClockOffset",
  "CollectorSilent",
  "CollectorSourceDown",
  "JournalSilent",
  "TargetMissing",
];

/** What the work causes. `services` are aliases. */
export type PlannedAlerts =
  | { readonly kind: "deployment" | "restore"; readonly services: readonly string[] }
  | { readonly kind: "maintenance" | "drill" };

/** Each list is a silence of its own, because a silence is for what all its matchers fit. */
export function silencesFor(alerts: PlannedAlerts): readonly (readonly Matcher[])[] {
  const named = (...names: readonly string[]) => matcherOf("alertname", names);
  // A P1 that nobody is told of is not escalated either.
  const escalations = (...names: readonly string[]) => [named(ESCALATION), matcherOf("about", names)];
  switch (alerts.kind) {
    case "deployment":
    case "restore":
      return [
        [named(...OF_SERVICES), matcherOf("service", alerts.services)],
        [named(...OF_JOBS), matcherOf("job", alerts.services)],
        [named(...OF_SITE)],
        escalations(...OF_SERVICES, ...OF_JOBS, ...OF_SITE),
      ];
    case "maintenance": {
      const all = [...OF_SERVICES, ...OF_JOBS, ...OF_SITE, ...OF_HOST];
      return [[named(...all)], escalations(...all)];
    }
    case "drill":
      return [[named(...OF_LOAD)], escalations(...OF_LOAD)];
  }
}

function matcherOf(name: string, values: readonly string[]): Matcher {
  return { name, value: values.join("|"), isRegex: true, isEqual: true };
}

export interface PlannedWork extends Pick<Effects, "identity" | "now" | "say"> {
  readonly server: Pick<Server, "name" | "run">;

  /** What is done, for people who read the list of alerts. */
  readonly what: string;
  readonly alerts: PlannedAlerts;

  /** The silence ends after this time in any case. */
  readonly seconds: number;

  /** `technicia:monitoring.enabled`, where it is known. */
  readonly isOn?: boolean;

  /** @default those on the server's loopback */
  readonly addresses?: Addresses;
}

/** Does the work while its alerts are silenced. */
export async function during<T>(planned: PlannedWork, work: () => Promise<T>): Promise<T> {
  const silences = await begin(planned);
  try {
    return await work();
  } finally {
    await end(planned, silences);
  }
}

async function begin(planned: PlannedWork): Promise<readonly string[]> {
  const { server, what, alerts, seconds, identity, now, say, isOn = true } = planned;
  if (!isOn) return [];
  const stores = openStores(server, planned.addresses ?? LOOPBACK);
  const from = now();
  const until = new Date(from.getTime() + seconds * 1000);
  const made: string[] = [];
  try {
    for (const matchers of silencesFor(alerts)) {
      const comment = `${PLANNED}${what}`;
      made.push(await makeSilence(stores, { matchers, from, until, by: identity.who, comment }));
    }
    say(`the alerts of this work are silenced until it ends, for ${renderSpan(seconds)} at most`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the alerts of this work are not silenced: ${error.message}`);
  }
  return made;
}

async function end(planned: PlannedWork, silences: readonly string[]): Promise<void> {
  const { server, seconds, now, say } = planned;
  const stores = openStores(server, planned.addresses ?? LOOPBACK);
  for (const id of silences) {
    try {
      await endSilence(stores, id);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const latest = renderMoment(new Date(now().getTime() + seconds * 1000));
      say(
        `silence ${id.slice(0, 8)} could not be ended and ends by itself, before ${latest}: ${error.message}`,
      );
    }
  }
}

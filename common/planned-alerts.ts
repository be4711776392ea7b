/** Which alerts planned work causes, and how silences name them. Plain data: commands silence their own work, the server its drills. */

/** Begins the comment of a silence that belongs to planned work. */
export const PLANNED = "planned: ";

/** Repeats an alert that nobody acknowledges to the next level of people. */
export const ESCALATION = "Escalation";

/** What its alerts have of those that they repeat, whose name is `about`. */
export const ESCALATION_LABELS = ["id", "about", "service", "neighbour", "integration"] as const;

/** Fires during a fault and for a while after it, so that what only follows from it is not sent then either. */
export const AFTERMATH = "Aftermath";

/** As Alertmanager has it. */
export interface Matcher {
  readonly name: string;
  readonly value: string;
  readonly isRegex: boolean;
  readonly isEqual: boolean;
}

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
  "ServerGone",
];

/** What another environment sees of a server that reboots or answers nothing; each alert names its stack as `neighbour`. */
const OF_NEIGHBOUR = ["NeighbourDown", "NeighbourSilent"];

/** What the work causes. `services` are aliases; `neighbour` is the stack on which somebody works, seen from another one. */
export type PlannedAlerts =
  | { readonly kind: "deployment" | "restore"; readonly services: readonly string[] }
  | { readonly kind: "maintenance" | "drill" }
  | { readonly kind: "neighbour"; readonly neighbour: string };

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
    case "neighbour": {
      const whose = matcherOf("neighbour", [alerts.neighbour]);
      return [
        [named(...OF_NEIGHBOUR), whose],
        [...escalations(...OF_NEIGHBOUR), whose],
      ];
    }
  }
}

function matcherOf(name: string, values: readonly string[]): Matcher {
  return { name, value: values.join("|"), isRegex: true, isEqual: true };
}

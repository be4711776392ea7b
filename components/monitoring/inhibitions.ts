/** Which alerts are not sent because another one says it already: one fault, one message. */
import { SERVER_LABEL } from "../../common/monitoring.ts";
import { AFTERMATH } from "../../common/planned-alerts.ts";
import type { MonitoringFacts } from "./facts.ts";

/** As Alertmanager has it: while an alert of `source` fires, those of `target` with the same labels `equal` are not sent. */
interface Inhibition {
  readonly source_matchers: readonly string[];
  readonly target_matchers: readonly string[];
  readonly equal?: readonly string[];
}

interface Cause {
  /** Names of the alerts that are sent. */
  readonly cause: readonly string[];

  /** Condition on the cause besides its name. */
  readonly of?: string;

  /** Names of the alerts that only follow from it. */
  readonly effects: readonly string[];

  /** Condition on the effect besides its name. */
  readonly on?: string;

  readonly equal?: readonly string[];

  /** Whether both are of the same server, where there are several. */
  readonly onServer?: true;
}

type Servers = Pick<MonitoringFacts, "servers">;

/** Without one of them, the site does not answer. */
const CORE = 'service=~"n8n|vector-store|qdrant|postgres"';

/** What requests show when a service is gone. */
const REQUESTS = [
  ...["ErrorRateCritical", "ErrorRateHigh", "ErrorRateElevated", "CriticalErrors", "ServiceErrors"],
  ...["LatencyCritical", "LatencyHigh", "LatencyMedian", "LatencyTail", "RequestsRetried"],
  ...["SlowRequestCritical", "SlowRequestHigh", "SlowRequestElevated", "WorkflowsFailing"],
  ...["QuestionsFailing", "QuestionsSlow", "QuestionsVerySlow", "UploadsFailing", "UploadsSlow"],
];

/** Of those, what may be seen before the service counts as gone. One burst of errors is over by then, and nobody would hear of it. */
export const SYMPTOMS: readonly string[] = REQUESTS.filter((name) => name !== "CriticalErrors");

/** Browsers refuse the site. */
const UNTRUSTED = ["CertificateExpired", "CertificateWrongName", "CertificatePlaceholder"];

const CAUSES: readonly Cause[] = [
  {
    cause: ["OutOfMemory"],
    effects: ["CrashLoop", "ServiceNotRunning", "ServiceMemoryCritical"],
    equal: ["service"],
  },
  {
    cause: ["ServiceDown"],
    effects: ["HealthFailing", "ServiceNotRunning", "CrashLoop", "TargetDown"],
    equal: ["service"],
  },
  { cause: ["ServiceDown"], of: CORE, effects: ["SiteDown"] },
  { cause: ["ServiceDown"], of: CORE, effects: ["HealthFailing"], on: 'service="gateway"' },
  { cause: ["ServiceDown"], of: CORE, effects: REQUESTS },
  { cause: ["SiteDown"], effects: ["HealthFailing", "ServiceNotRunning", "CrashLoop"], equal: ["service"] },
  { cause: ["SiteDown"], effects: REQUESTS },
  { cause: UNTRUSTED, effects: ["SiteDown"] },
  { cause: UNTRUSTED, effects: ["HealthFailing"], on: 'service="gateway"' },
  // Limits of one measure, of which the graver one is over first.
  { cause: ["ErrorRateCritical"], effects: ["ErrorRateHigh", "ErrorRateElevated"] },
  { cause: ["LatencyCritical"], effects: ["LatencyHigh", "LatencyMedian", "LatencyTail"] },
  // One shortage of memory, seen in percent and in MiB.
  { cause: ["HostMemoryCritical"], effects: ["AvailableMemoryCritical"], onServer: true },
  { cause: ["HostMemoryExhausted"], effects: ["HostMemoryHigh"], onServer: true },
  { cause: ["AvailableMemoryLow"], effects: ["HostMemoryAboveTarget", "HostMemoryElevated"], onServer: true },
  { cause: ["HostMemoryAboveTarget"], effects: ["HostMemoryElevated"], onServer: true },
  { cause: ["BackupFailed"], effects: ["UnitFailed"], on: 'unit="technicia-backup.service"' },
  { cause: ["DrillFailed"], effects: ["UnitFailed"], on: 'unit="technicia-backup-drill.service"' },
  {
    cause: ["MonitoringDown"],
    effects: [
      ...["TargetMissing", "RuleErrors", "RulesLate", "AlertsNotSent", "AccessLogSilent", "JournalSilent"],
      ...["UnreadableLines", "LinesDropped", "ConfigurationRefused", "MonitoringRestarts", "NeighbourSilent"],
    ],
  },
  {
    cause: ["StoreReadOnly"],
    of: 'job="logs"',
    effects: ["AccessLogSilent", "LinesDropped", "JournalSilent", "NeighbourSilent"],
  },
  {
    cause: ["StoreReadOnly"],
    of: 'job="metrics"',
    effects: ["CollectorSilent", "TargetMissing", "BackupMissing"],
  },
  { cause: ["NeighbourDown"], effects: ["NeighbourSilent"], equal: ["neighbour"] },
  // Where nobody gets in, no sign of life does.
  { cause: ["SiteDown"], effects: ["NeighbourSilent"] },
];

const SILENT_COLLECTOR: Cause = {
  cause: ["CollectorSilent"],
  effects: ["CollectorSourceDown", "CollectorSlow", "BackupMissing"],
};

/** What a server that is gone shows of itself. Services that were there start elsewhere, and are judged as such. */
const OF_SERVER = [
  ...["CollectorSilent", "CollectorSourceDown", "CollectorSlow", "JournalSilent"],
  ...["UnitFailed", "ClockUnsynchronised", "ClockOffset", "CpuHigh", "LoadCritical", "LoadHigh"],
  ...["HostMemoryCritical", "HostMemoryHigh", "HostMemoryExhausted", "HostMemoryElevated"],
  ...["HostMemoryAboveTarget", "AvailableMemoryCritical", "AvailableMemoryLow"],
];

function causesOf({ servers: [home] }: Servers): readonly Cause[] {
  const [before, after] = [CAUSES.slice(0, -2), CAUSES.slice(-2)];
  if (home === undefined) return [...before, SILENT_COLLECTOR, ...after];
  return [
    ...before,
    { cause: ["ServerGone"], effects: OF_SERVER, onServer: true },
    { cause: ["CollectorSilent"], effects: ["CollectorSourceDown", "CollectorSlow"], onServer: true },
    // Backups are on the server of the data.
    { cause: ["CollectorSilent"], of: `${SERVER_LABEL}="${home.server}"`, effects: ["BackupMissing"] },
    ...after,
  ];
}

/** How long the effects of a cause may be seen after it: until the next measurements, or as long as their rules look back. */
export type Span = "moment" | "minutes" | "quarter";

/** Effects whose rules count over five minutes, and over a quarter of an hour. */
const LOOK_BACK: Readonly<Record<Exclude<Span, "moment">, readonly string[]>> = {
  minutes: [
    ...["ErrorRateCritical", "ErrorRateHigh", "ErrorRateElevated", "RequestsRetried"],
    ...["LatencyCritical", "LatencyHigh", "LatencyMedian", "LatencyTail"],
    ...["SlowRequestCritical", "SlowRequestHigh", "SlowRequestElevated"],
    ...["RuleErrors", "RulesLate", "AlertsNotSent", "NotificationsFailing", "LinesDropped"],
    ...["AccessLogSilent", "NeighbourSilent", "CriticalErrors"],
  ],
  quarter: [
    ...["QuestionsFailing", "QuestionsSlow", "QuestionsVerySlow", "UploadsFailing", "UploadsSlow"],
    ...["ServiceErrors", "WorkflowsFailing", "UnreadableLines", "CrashLoop", "MonitoringRestarts"],
  ],
};

const SPANS: readonly Span[] = ["moment", "minutes", "quarter"];

const spanOf = (effect: string): Span =>
  SPANS.find((span) => span !== "moment" && LOOK_BACK[span].includes(effect)) ?? "moment";

/** Names of the causes that have effects of that span. */
export const causesWith = (span: Span, facts: Servers): readonly string[] => [
  ...new Set(
    causesOf(facts)
      .filter(({ effects }) => effects.some((one) => spanOf(one) === span))
      .flatMap(({ cause }) => cause),
  ),
];

/** Names of the alerts that are not sent either for that long after the cause. */
export const effectsAfter = (
  cause: string,
  span: Span,
  facts: Servers = { servers: [] },
): readonly string[] =>
  causesOf(facts)
    .filter((one) => one.cause.includes(cause))
    .flatMap(({ effects }) => effects.filter((one) => spanOf(one) === span));

const oneOf = (label: string, names: readonly string[]) => `${label}=~"${names.join("|")}"`;

/** What holds for an alert holds for its ladder, whose label `about` is the alert's name. */
function inhibitionsOf(
  { cause, of, effects, on, equal, onServer }: Cause,
  { servers }: Servers,
): Inhibition[] {
  const condition = of === undefined ? [] : [of];
  const also = on === undefined ? [] : [on];
  const alike = [...(equal ?? []), ...(onServer === true && servers.length > 0 ? [SERVER_LABEL] : [])];
  const same = alike.length === 0 ? {} : { equal: alike };
  const inhibit = (source: readonly string[], names: readonly string[]): Inhibition[] => {
    const source_matchers = [...source, ...condition];
    return [
      { source_matchers, target_matchers: [oneOf("alertname", names), ...also], ...same },
      {
        source_matchers,
        target_matchers: ['alertname="Escalation"', oneOf("about", names), ...also],
        ...same,
      },
    ];
  };
  const after = SPANS.flatMap((span) => {
    const names = effects.filter((one) => spanOf(one) === span);
    const source = [`alertname="${AFTERMATH}"`, `span="${span}"`, oneOf("cause", cause)];
    return names.length === 0 ? [] : inhibit(source, names);
  });
  return [...inhibit([oneOf("alertname", cause)], effects), ...after];
}

/** Of the same measure, only the most severe limit. Both sides have a topic: two absent labels count as equal. */
const TOPICS: readonly Inhibition[] = [
  { source: "P1", targets: "P2|P3" },
  { source: "P2", targets: "P3" },
].map(({ source, targets }) => ({
  source_matchers: [`severity="${source}"`, 'topic!=""'],
  target_matchers: [`severity=~"${targets}"`, 'topic!=""'],
  equal: ["topic"],
}));

/** Every inhibition; none of them concerns the sign of life. */
export const inhibitionsFor = (facts: Servers): readonly Inhibition[] => [
  ...TOPICS,
  ...causesOf(facts).flatMap((cause) => inhibitionsOf(cause, facts)),
];

/** Names of alerts that the inhibitions are about, for a test that each of them exists. */
export const inhibitedNames = (facts: Servers): readonly string[] =>
  causesOf(facts).flatMap(({ cause, effects }) => [...cause, ...effects]);

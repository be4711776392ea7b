/** Which alerts are not sent because another one says it already: one fault, one message. */

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
}

/** Without one of them, the site does not answer. */
const CORE = 'service=~"n8n|vector-store|qdrant|postgres"';

/** What requests show when a service is gone. */
const REQUESTS = [
  ...["ErrorRateCritical", "ErrorRateHigh", "ErrorRateElevated", "CriticalErrors", "ServiceErrors"],
  ...["LatencyCritical", "LatencyHigh", "LatencyMedian", "LatencyTail", "RequestsRetried"],
  ...["SlowRequestCritical", "SlowRequestHigh", "SlowRequestElevated", "WorkflowsFailing"],
  ...["QuestionsFailing", "QuestionsSlow", "QuestionsVerySlow", "UploadsFailing", "UploadsSlow"],
];

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
  { cause: ["CertificateExpired", "CertificatePlaceholder"], effects: ["SiteDown"] },
  {
    cause: ["CertificateExpired", "CertificatePlaceholder"],
    effects: ["HealthFailing"],
    on: 'service="gateway"',
  },
  {
    cause: ["MonitoringDown"],
    effects: [
      ...["TargetMissing", "RuleErrors", "RulesLate", "AlertsNotSent", "AccessLogSilent", "JournalSilent"],
      ...["UnreadableLines", "LinesDropped", "ConfigurationRefused", "MonitoringRestarts", "NeighbourSilent"],
    ],
  },
  { cause: ["CollectorSilent"], effects: ["CollectorSourceDown", "CollectorSlow", "BackupMissing"] },
  { cause: ["NeighbourDown"], effects: ["NeighbourSilent"], equal: ["neighbour"] },
  // Where nobody gets in, no sign of life does.
  { cause: ["SiteDown"], effects: ["NeighbourSilent"] },
];

const oneOf = (label: string, names: readonly string[]) => `${label}=~"${names.join("|")}"`;

/** What holds for an alert holds for its ladder, whose label `about` is the alert's name. */
function inhibitionsOf({ cause, of, effects, on, equal }: Cause): Inhibition[] {
  const source_matchers = [oneOf("alertname", cause), ...(of === undefined ? [] : [of])];
  const also = on === undefined ? [] : [on];
  const same = equal === undefined ? {} : { equal };
  return [
    { source_matchers, target_matchers: [oneOf("alertname", effects), ...also], ...same },
    {
      source_matchers,
      target_matchers: ['alertname="Escalation"', oneOf("about", effects), ...also],
      ...same,
    },
  ];
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
export const INHIBITIONS: readonly Inhibition[] = [...TOPICS, ...CAUSES.flatMap(inhibitionsOf)];

/** Names of alerts that the inhibitions are about, for a test that each of them exists. */
export const INHIBITED_NAMES: readonly string[] = CAUSES.flatMap(({ cause, effects }) => [
  ...cause,
  ...effects,
]);

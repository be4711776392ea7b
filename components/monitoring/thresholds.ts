/** The numbers of `stacks/thresholds-schema.ts`, which says what each means. */
type Numbers<Names extends string> = Readonly<Record<Names, number>>;

export interface Thresholds {
  readonly errors: Numbers<
    "p1Percent" | "p2Percent" | "p3Percent" | "windowMinutes" | "p2Minutes" | "p3Minutes" | "minimumRequests"
  >;
  readonly latency: Numbers<
    "p1P95Seconds" | "p2P95Seconds" | "p3P50Seconds" | "p3P99Seconds" | "degradedMinutes" | "minimumRequests"
  >;
  readonly slowRequests: Numbers<"p1Seconds" | "p2Seconds" | "p3Seconds" | "atLeast">;
  readonly languageModel: Numbers<
    "p2Seconds" | "p3Seconds" | "failedPercent" | "minimumRequests" | "unsourcedPercent" | "minimumAnswers"
  >;
  readonly uploads: Numbers<"p3Seconds" | "failedPercent" | "minimumRequests">;
  readonly retries: Numbers<"count">;
  readonly traffic: Numbers<"factor" | "minimumRequests">;
  readonly health: Numbers<"consecutiveFailures" | "downMinutes">;
  readonly restarts: Numbers<"count" | "minutes">;
  readonly criticalErrors: Numbers<"perMinute" | "perService">;
  readonly containerMemory: Numbers<"p1Percent" | "p2Percent" | "p3Percent">;
  readonly n8n: Numbers<"failedExecutions" | "minutes">;
  readonly neighbours: Numbers<"silentMinutes">;
  readonly memory: Numbers<
    | "p1Percent"
    | "p2Percent"
    | "p3Percent"
    | "p1Minutes"
    | "p2Minutes"
    | "p3Minutes"
    | "alertPercent"
    | "targetPercent"
    | "warningAvailableMib"
    | "criticalAvailableMib"
  >;
  readonly cpu: Numbers<"percent" | "minutes" | "warningLoad" | "criticalLoad">;
  readonly disk: Numbers<
    "freePercent" | "warningUsedPercent" | "criticalUsedPercent" | "fullWithinHours" | "inodesFreePercent"
  >;
  readonly clock: Numbers<"offsetMs">;
  readonly patches: Numbers<"securityDays" | "rebootDays">;
  readonly certificate: Numbers<"p1Days" | "p2Days" | "p3Days">;
  readonly backups: Numbers<"missed">;
  readonly drills: Numbers<"overdueDays">;
  readonly drift: Numbers<"findings" | "checkHours">;
  readonly security: Numbers<"sshFailuresPerHour" | "editorFailuresPerHour" | "refusedPer15Minutes">;
  readonly logs: Numbers<"linesPerMinute" | "unreadableLines" | "silentMinutes">;
  readonly collector: Numbers<"silentMinutes" | "seconds">;
  readonly ownHealth: Numbers<"downMinutes" | "failures">;
}

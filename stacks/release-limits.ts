/** What a release is verified against: the numbers of the alerts, where `monitoring.thresholds.release` has none of its own. */
import type { Environment } from "./environment.ts";

export interface ReleaseLimits {
  /** Largest share of failed requests, from 0 to 1. */
  readonly errorRatio: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly requestsPerSecond: number;
  readonly loadSeconds: number;
  readonly certificateDays: number;
  readonly diskFreePercent: number;
  readonly memoryUsedPercent: number;
  readonly rollbackSeconds: number;
}

export function releaseLimits({ monitoring }: Pick<Environment, "monitoring">): ReleaseLimits {
  const { release, errors, latency, disk, memory } = monitoring.thresholds;
  const { requestsPerSecond, loadSeconds, certificateDays, rollbackSeconds } = release;
  return {
    ...{ requestsPerSecond, loadSeconds, certificateDays, rollbackSeconds },
    errorRatio: (release.errorPercent ?? errors.p3Percent) / 100,
    p50Ms: 1000 * (release.p50Seconds ?? latency.p3P50Seconds),
    p95Ms: 1000 * (release.p95Seconds ?? latency.p2P95Seconds),
    p99Ms: 1000 * (release.p99Seconds ?? latency.p3P99Seconds),
    diskFreePercent: release.diskFreePercent ?? disk.freePercent,
    memoryUsedPercent: release.memoryUsedPercent ?? memory.targetPercent,
  };
}

import type { Result } from "autocannon";

import type { Environment } from "../../../stacks/environment.ts";
import { failed, type Finding, ok } from "../finding.ts";
import type { World } from "../world.ts";

const CONNECTIONS = 10;
/** Above the wanted rate, so that it can be proven, and no more than that: others use the server meanwhile. */
const MARGIN = 1.5;
/** The load ends early once so many more requests failed than the threshold allows. */
const MORE_ERRORS = 100;

export interface LoadRequest {
  readonly path: string;
  /** The one status that counts as an answer. */
  readonly status: number;
  readonly signal: AbortSignal;
}

/** A bounded load over HTTPS on one path, measured against the environment's thresholds. */
export async function checkLoad(
  world: World,
  { domain, operations: { thresholds } }: Pick<Environment, "domain" | "operations">,
  { path, status, signal }: LoadRequest,
): Promise<Finding> {
  const rate = Math.max(CONNECTIONS, Math.ceil(thresholds.requestsPerSecond * MARGIN));
  const times: number[] = [];
  let wrong = 0;
  // Most commands put no load on anything, and it takes a while to load itself.
  const { default: autocannon } = await import("autocannon");
  const started = performance.now();
  const result = await new Promise<Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: `https://${domain}:${world.ports.https}${path}`,
        connections: CONNECTIONS,
        duration: thresholds.loadSeconds,
        overallRate: rate,
        timeout: Math.ceil(thresholds.p99Ms / 1000) + 5,
        // A refused connection is tried again at once, and so for ever.
        bailout: Math.ceil(rate * thresholds.loadSeconds * thresholds.errorRatio) + MORE_ERRORS,
        headers: { "user-agent": "technicia-checks" },
      },
      // Typed as an Error, given as null when there is none.
      (error: Error | null, done) => (error ? reject(error) : resolve(done)),
    );
    // Kept one by one: the library's own summary has no 95th percentile.
    instance.on("response", (_client, code, _bytes, milliseconds) => {
      times.push(milliseconds);
      if (code !== status) wrong += 1;
    });
    signal.addEventListener("abort", () => instance.stop(), { once: true });
  });
  signal.throwIfAborted();

  const seconds = (performance.now() - started) / 1000;
  // The library counts a timeout among its errors, too.
  const errors = wrong + result.errors;
  const total = times.length + result.errors;
  const measures = {
    requests: total,
    errorRatio: total === 0 ? 1 : Math.round((errors / total) * 10_000) / 10_000,
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    p99Ms: percentile(times, 0.99),
    requestsPerSecond: Math.round(times.length / seconds),
  };
  const { errorRatio, p50Ms, p95Ms, p99Ms, requestsPerSecond } = measures;
  const told =
    `${path} : p50 ${p50Ms} ms, p95 ${p95Ms} ms, p99 ${p99Ms} ms, ${requestsPerSecond} requêtes/s, ` +
    `${errors} erreurs sur ${total} pendant ${Math.round(seconds)} s`;
  const problems = [
    ...(errorRatio > thresholds.errorRatio ? [`erreurs au-dessus de ${thresholds.errorRatio * 100} %`] : []),
    ...(p50Ms > thresholds.p50Ms ? [`p50 au-dessus de ${thresholds.p50Ms} ms`] : []),
    ...(p95Ms > thresholds.p95Ms ? [`p95 au-dessus de ${thresholds.p95Ms} ms`] : []),
    ...(p99Ms > thresholds.p99Ms ? [`p99 au-dessus de ${thresholds.p99Ms} ms`] : []),
    ...(requestsPerSecond < thresholds.requestsPerSecond
      ? [`débit sous ${thresholds.requestsPerSecond} requêtes/s`]
      : []),
  ];
  return problems.length > 0 ? failed(`${problems.join(" ; ")} (${told})`, measures) : ok(told, measures);
}

/** The smallest time that the given share of requests did not exceed. */
function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return Math.round((sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0) * 10) / 10;
}

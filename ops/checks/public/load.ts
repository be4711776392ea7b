import { connect } from "node:tls";

import type { Result } from "autocannon";

import { failed, type Finding, ok } from "../probe.ts";
import { placeOf, type PublicSite } from "./gateway.ts";
import type { ReleaseLimits } from "../../../stacks/release-limits.ts";

/** Requests that the server answers at the same time; those on the way come in addition. */
const CONNECTIONS = 10;
const ROUND_TRIPS = 5;
const ROUND_TRIP_SECONDS = 5;
/** The load exceeds the wanted rate to prove it, but not by more: people use the server meanwhile. */
const MARGIN = 1.5;
/** The load ends early once this many more requests failed than the threshold allows. */
const MORE_ERRORS = 100;

interface LoadRequest {
  readonly path: string;
  /** The one status that counts as an answer. */
  readonly status: number;
  readonly thresholds: ReleaseLimits;
  readonly signal: AbortSignal;
}

/**
 * Puts a bounded load on one path over HTTPS and judges it by the environment's thresholds.
 *
 * They are about the server: the way to it, which is longer or shorter for each operator, is measured first. So many connections more are
 * opened as it holds requests, and its time is taken off every answer's.
 */
export async function checkLoad(site: PublicSite, request: LoadRequest): Promise<Finding> {
  const rttMs = await roundTripMs(site, request.signal);
  const { times: whole, wrong, lost, seconds } = await runLoad(site, { ...request, rttMs });
  request.signal.throwIfAborted();
  const times = whole.map((milliseconds) => Math.max(0, milliseconds - rttMs));

  const { path, thresholds } = request;
  const errors = wrong + lost;
  const total = times.length + lost;
  const measures = {
    requests: total,
    errorRatio: total === 0 ? 1 : Math.round((errors / total) * 10_000) / 10_000,
    rttMs: rounded(rttMs),
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    p99Ms: percentile(times, 0.99),
    requestsPerSecond: Math.round(times.length / seconds),
  };
  const way = measures.rttMs >= 1 ? ` (sans le trajet de ${measures.rttMs} ms)` : "";
  const { errorRatio, p50Ms, p95Ms, p99Ms, requestsPerSecond } = measures;
  const seen =
    `${path} : p50 ${p50Ms} ms, p95 ${p95Ms} ms, p99 ${p99Ms} ms${way}, ${requestsPerSecond} requêtes/s, ` +
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
  return problems.length > 0 ? failed(`${problems.join(" ; ")} (${seen})`, measures) : ok(seen, measures);
}

/** The time of one way there and back, in milliseconds; 0 where nothing answers, which the load itself then shows. */
async function roundTripMs(site: PublicSite, signal: AbortSignal): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < ROUND_TRIPS; count++) {
    const milliseconds = await handshakeMs(site);
    signal.throwIfAborted();
    if (milliseconds === undefined) return 0;
    times.push(milliseconds);
  }
  return times.sort((a, b) => a - b)[Math.floor(ROUND_TRIPS / 2)]!;
}

/** The handshake of TLS 1.3 is one round trip, also where a proxy near the operator answers TCP's; that of TLS 1.2 is two. */
function handshakeMs(site: PublicSite): Promise<number | undefined> {
  return new Promise((resolve) => {
    let started = 0;
    // Another check judges the certificate.
    const socket = connect({ ...placeOf(site), rejectUnauthorized: false });
    const end = (milliseconds: number | undefined) => {
      socket.destroy();
      resolve(milliseconds);
    };
    socket
      .setTimeout(ROUND_TRIP_SECONDS * 1000)
      .on("connect", () => (started = performance.now()))
      .on("secureConnect", () => {
        end((performance.now() - started) / (socket.getProtocol() === "TLSv1.2" ? 2 : 1));
      })
      .on("timeout", () => end(undefined))
      .on("error", () => end(undefined));
  });
}

/** Milliseconds of each answer, the number of answers with another status, and of requests without an answer. */
async function runLoad(
  site: PublicSite,
  { path, status, thresholds, signal, rttMs }: LoadRequest & { readonly rttMs: number },
): Promise<{ times: readonly number[]; wrong: number; lost: number; seconds: number }> {
  const rate = Math.max(CONNECTIONS, Math.ceil(thresholds.requestsPerSecond * MARGIN));
  // Each connection needs at least one request a second.
  const connections = Math.min(rate, CONNECTIONS + Math.ceil((rate * rttMs) / 1000));
  const { host, port, servername } = placeOf(site);
  const times: number[] = [];
  let wrong = 0;
  // Imported here, because it is slow to load and most commands need no load.
  const { default: autocannon } = await import("autocannon");
  const started = performance.now();
  const result = await new Promise<Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: `https://${host}:${port}${path}`,
        ...(site.address === undefined ? {} : { servername }),
        connections,
        duration: thresholds.loadSeconds,
        overallRate: rate,
        timeout: Math.ceil(thresholds.p99Ms / 1000) + 5,
        // The library repeats a refused connection at once and without end.
        bailout: Math.ceil(rate * thresholds.loadSeconds * thresholds.errorRatio) + MORE_ERRORS,
        headers: {
          "user-agent": "technicia-checks",
          ...(site.address === undefined ? {} : { host: servername }),
        },
      },
      // Typed as an Error, given as null when there is none.
      (error: Error | null, done) => (error ? reject(error) : resolve(done)),
    );
    // Kept one by one, because the library's own summary has no 95th percentile.
    instance.on("response", (_client, code, _bytes, milliseconds) => {
      times.push(milliseconds);
      if (code !== status) wrong += 1;
    });
    signal.addEventListener("abort", () => instance.stop(), { once: true });
  });
  // The library counts timeouts among its errors.
  return { times, wrong, lost: result.errors, seconds: (performance.now() - started) / 1000 };
}

/** The smallest time that the given share of requests did not exceed. */
function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return rounded(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0);
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

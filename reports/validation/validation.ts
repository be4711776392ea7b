/**
 * How the first day and the first week of a release were: "Validation J+1" and "Validation J+7" of the team's checklist.
 *
 * Each is a line of the audit of the server, from which the tracking document's rows are written.
 */
import { currentRelease, type AuditEvent, type Release } from "../../common/release.ts";

export const DAYS = [1, 7] as const;

export type Day = (typeof DAYS)[number];

export type Verdict = "ok" | "worse" | "not-measured";

/** One thing that was looked at. */
export interface Finding {
  /** In French, such as `p95`. */
  readonly what: string;
  readonly verdict: Verdict;

  /** Figures and the reason, in French. */
  readonly text: string;
}

export interface Period {
  readonly from: Date;
  readonly until: Date;
}

/** A release's time until its validation, or until another release took its place. */
export interface Window extends Period {
  readonly release: Release;
  readonly day: Day;

  /** The release that ended it early. */
  readonly replacedBy: Release | undefined;

  /** The release before, and as much of its last time; undefined where there was none. */
  readonly before: (Period & { readonly release: Release }) | undefined;
}

export const DAY_MS = 86_400_000;

/** The newest samples arrive some seconds late. */
const LATE_MS = 60_000;

/** What ended longer ago has left the stores, or interests nobody any more. */
const FORGOTTEN_MS = 14 * DAY_MS;

const VERDICTS: Readonly<Record<Verdict, string>> = {
  ok: "ok",
  worse: "moins bien",
  "not-measured": "non mesuré",
};

/** Every window of the releases that served, the oldest first; those that have not ended are among them. */
export function windowsOf(releases: readonly Release[]): readonly Window[] {
  return releases
    .filter(({ outcome, finishedAt }) => outcome === "succeeded" && finishedAt !== undefined)
    .flatMap((release) => DAYS.map((day) => windowOf(release, { day, releases })));
}

function windowOf(
  release: Release,
  { day, releases }: { readonly day: Day; readonly releases: readonly Release[] },
): Window {
  const from = new Date(release.finishedAt!);
  const whole = new Date(from.getTime() + day * DAY_MS);
  // A release that failed before it changed anything ends nothing.
  const next = releases.find(
    ({ number, outcome, restored }) =>
      number > release.number && (outcome === "succeeded" || restored !== undefined),
  );
  const isReplaced = next !== undefined && new Date(next.startedAt) < whole;
  const until = isReplaced ? new Date(next.startedAt) : whole;
  return {
    ...{ release, day, from, until },
    replacedBy: isReplaced ? next : undefined,
    before: beforeOf(release, { lasts: until.getTime() - from.getTime(), releases }),
  };
}

function beforeOf(
  release: Release,
  { lasts, releases }: { readonly lasts: number; readonly releases: readonly Release[] },
): Window["before"] {
  const earlier = releases.filter(({ number }) => number < release.number);
  const previous = currentRelease(earlier);
  const since = earlier.findLast(
    ({ outcome, restored }) => outcome === "succeeded" || restored !== undefined,
  );
  if (previous === undefined || since?.finishedAt === undefined) return undefined;
  const until = new Date(release.startedAt);
  const from = new Date(Math.max(new Date(since.finishedAt).getTime(), until.getTime() - lasts));
  return { release: previous, from, until };
}

/** Windows that have ended, lately, and have no line in the audit yet. */
export function dueWindows(
  { releases, history }: { readonly releases: readonly Release[]; readonly history: readonly AuditEvent[] },
  now: Date,
): readonly Window[] {
  return windowsOf(releases).filter(({ release, day, until }) => {
    const ago = now.getTime() - until.getTime();
    return ago >= LATE_MS && ago < FORGOTTEN_MS && resultOf(history, { release, day }) === undefined;
  });
}

/** The worst counts, and what is missing is never ok. A time that another release cut short was not measured as a whole. */
export function verdictOf(findings: readonly Finding[], { replacedBy }: Pick<Window, "replacedBy">): Verdict {
  const has = (verdict: Verdict) => findings.some((finding) => finding.verdict === verdict);
  if (has("worse")) return "worse";
  return findings.length === 0 || has("not-measured") || replacedBy !== undefined ? "not-measured" : "ok";
}

/** The audit's line, such as `Validation J+1 : ok ; p95 0,4 s (0,5 s avant)`. */
export function describeResult(window: Window, findings: readonly Finding[]): string {
  const { day, replacedBy, from, until } = window;
  const hours = Math.round((until.getTime() - from.getTime()) / 3_600_000);
  const texts = findings
    .toSorted((one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict))
    .map(({ what, verdict, text }) => `${what} ${verdict === "ok" ? "" : `${VERDICTS[verdict]} : `}${text}`);
  return [
    `Validation J+${day} : ${VERDICTS[verdictOf(findings, window)]}`,
    ...(replacedBy === undefined ? [] : [`remplacée par le nº ${replacedBy.number} après ${hours} h`]),
    ...texts,
  ].join(" ; ");
}

const ORDER: readonly Verdict[] = ["worse", "not-measured", "ok"];

const RESULT = /^Validation J\+(\d) : (ok|moins bien|non mesuré)(?: ; (.*))?$/s;

export interface Result {
  readonly at: string;
  readonly verdict: Verdict;

  /** Figures and reasons. */
  readonly text: string;
}

/** What the audit says of it; undefined where it was not looked at. */
export function resultOf(
  history: readonly AuditEvent[],
  { release, day }: Pick<Window, "release" | "day">,
): Result | undefined {
  for (const { action, release: number, detail, at } of history) {
    if (action !== "validation" || number !== release.number) continue;
    const [, which, word, text = ""] = RESULT.exec(detail) ?? [];
    const verdict = (Object.keys(VERDICTS) as Verdict[]).find((one) => VERDICTS[one] === word);
    // After a server was set up anew, its releases have the numbers of others.
    if (Number(which) === day && verdict !== undefined && at >= release.startedAt)
      return { at, verdict, text };
  }
  return undefined;
}

export function wordOf(verdict: Verdict): string {
  return VERDICTS[verdict];
}

import { setTimeout as delay } from "node:timers/promises";

/** Time as a test may replace it. */
export interface Clock {
  /** In milliseconds, from any beginning. */
  now(): number;
  wait(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export interface UntilOptions {
  /** Milliseconds to go on for; the last try may begin exactly then. */
  readonly limit: number;

  /** Error for a condition that was not met within the limit. */
  readonly late: () => Error;

  /** First pause between two tries, in milliseconds. @default 200 */
  readonly every?: number;

  /** Factor by which each pause is longer than the one before. @default 1 */
  readonly growth?: number;

  /** Longest pause, in milliseconds. @default no limit */
  readonly longest?: number;

  /** Ends the waiting; the condition itself has to watch it, too. */
  readonly signal?: AbortSignal;

  /** @default this machine's */
  readonly clock?: Clock;
}

const machineClock: Clock = {
  now: () => performance.now(),
  wait: (milliseconds, signal) => delay(milliseconds, undefined, signal && { signal }),
};

/** Tries again and again until the condition gives an answer other than `undefined` or `false`, and returns that answer. */
export async function until<Answer>(
  condition: () => Answer | Promise<Answer>,
  { limit, late, every = 200, growth = 1, longest = Infinity, signal, clock = machineClock }: UntilOptions,
): Promise<Exclude<Answer, undefined | false>> {
  const end = clock.now() + limit;
  for (let pause = every; ; pause = Math.min(pause * growth, longest)) {
    const answer = await condition();
    if (answer !== undefined && answer !== false) return answer as Exclude<Answer, undefined | false>;
    if (clock.now() >= end) throw late();
    await clock.wait(pause, signal);
  }
}

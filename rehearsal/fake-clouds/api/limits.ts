import type { Clock } from "../clock.ts";

export interface RateLimit {
  readonly requests: number;
  readonly windowSeconds: number;
}

/** Where a caller stands in the current window. */
export interface Standing {
  readonly isOver: boolean;
  readonly limit: number;
  readonly remaining: number;
  readonly secondsLeft: number;
  /** When the window ends, in milliseconds since the epoch. */
  readonly resetAt: number;
}

/** Counts the requests of each caller in fixed windows. */
export class RequestCounter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #windows = new Map<string, { end: number; used: number }>();

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Counts one request. */
  count(caller: string): Standing {
    const { requests, windowSeconds } = this.#limit;
    const now = this.#clock.now();
    let window = this.#windows.get(caller);
    if (!window || window.end <= now) {
      window = { end: now + windowSeconds * 1000, used: 0 };
      this.#windows.set(caller, window);
    }
    window.used += 1;
    return {
      isOver: window.used > requests,
      limit: requests,
      remaining: Math.max(0, requests - window.used),
      secondsLeft: Math.ceil((window.end - now) / 1000),
      resetAt: window.end,
    };
  }
}

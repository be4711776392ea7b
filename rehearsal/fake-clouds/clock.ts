/** Time as the fake clouds see it, so that a test can decide when a slow state ends. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once at `time`; the returned function cancels that. */
  at(time: number, run: () => Promise<void>): () => void;
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  at(time, run) {
    const timer = setTimeout(() => void run(), Math.max(0, time - Date.now()));
    return () => clearTimeout(timer);
  },
};

interface Alarm {
  readonly time: number;
  readonly run: () => Promise<void>;
}

/** A clock that only `advance` moves. */
export class ManualClock implements Clock {
  #now: number;
  readonly #alarms = new Set<Alarm>();

  constructor(start: Date = new Date("2026-01-05T09:00:00Z")) {
    this.#now = start.getTime();
  }

  now(): number {
    return this.#now;
  }

  at(time: number, run: () => Promise<void>): () => void {
    const alarm = { time, run };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Moves on by `ms`; returns once everything due until then is done. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let next = this.#nextUntil(end); next; next = this.#nextUntil(end)) {
      this.#alarms.delete(next);
      this.#now = Math.max(this.#now, next.time);
      await next.run();
    }
    this.#now = end;
  }

  #nextUntil(end: number): Alarm | undefined {
    const due = [...this.#alarms].filter((alarm) => alarm.time <= end);
    return due.sort((a, b) => a.time - b.time)[0];
  }
}

/** An ISO date with the offset that OVH writes. */
export function ovhDate(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "+00:00");
}

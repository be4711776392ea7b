/** Lets a limited number of callers work at once; the others wait in line. */
export class Slots {
  readonly #waiting = new Set<() => void>();
  #limit: number;
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Waits for a free slot; fails with the signal's reason when it aborts first. */
  async take(signal: AbortSignal): Promise<void> {
    while (this.#taken >= this.#limit) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      if (signal.aborted) {
        // A release may have woken this caller, which no longer wants the slot.
        if (!this.#waiting.delete(resolve)) this.#wakeNext();
        signal.throwIfAborted();
      }
    }
    this.#taken += 1;
  }

  release(): void {
    this.#taken -= 1;
    this.#wakeNext();
  }

  /** Allows one fewer than are working now, but at least one. */
  lowerLimit(): void {
    this.#limit = Math.max(1, this.#taken - 1);
  }

  #wakeNext(): void {
    for (const wake of this.#waiting) {
      this.#waiting.delete(wake);
      wake();
      return;
    }
  }
}

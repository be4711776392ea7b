import { describe, expect, it } from "vitest";

import { type Clock, until } from "../../common/until.ts";

/** A clock on which only waiting takes time; it records each pause. */
function fakeClock(): Clock & { readonly pauses: number[] } {
  let time = 1_000;
  const pauses: number[] = [];
  return {
    pauses,
    now: () => time,
    wait: (milliseconds, signal) => {
      signal?.throwIfAborted();
      pauses.push(milliseconds);
      time += milliseconds;
      return Promise.resolve();
    },
  };
}

/** Gives `answer` at the given try, and `otherwise` before it. */
function atTry<Answer>(wanted: number, answer: Answer, otherwise?: false): () => Answer | false | undefined {
  let tries = 0;
  return () => (++tries >= wanted ? answer : otherwise);
}

const late = () => new Error("too late");

describe("until", () => {
  it("returns the first answer that is neither undefined nor false", async () => {
    expect(await until(atTry(3, "ready"), { limit: 60_000, late, clock: fakeClock() })).toBe("ready");
    expect(await until(atTry(3, 0, false), { limit: 60_000, late, clock: fakeClock() })).toBe(0);
  });

  it("does not wait when the condition is met at once", async () => {
    const clock = fakeClock();

    await until(() => true, { limit: 0, late, clock });

    expect(clock.pauses).toEqual([]);
  });

  it("pauses equally long without a growth", async () => {
    const clock = fakeClock();

    await until(atTry(4, true), { limit: 60_000, every: 25, late, clock });

    expect(clock.pauses).toEqual([25, 25, 25]);
  });

  it("lengthens its pauses up to the longest", async () => {
    const clock = fakeClock();

    await until(atTry(5, true), { limit: 60_000, every: 100, growth: 2, longest: 300, late, clock });

    expect(clock.pauses).toEqual([100, 200, 300, 300]);
  });

  it("tries once more at the limit, then throws the caller's error", async () => {
    const clock = fakeClock();
    let tries = 0;
    const never = () => {
      tries += 1;
      return undefined;
    };

    await expect(until(never, { limit: 300, every: 100, late, clock })).rejects.toThrow("too late");

    expect(tries).toBe(4);
  });

  it("throws what the condition throws", async () => {
    const fail = () => Promise.reject(new Error("refused"));

    await expect(until(fail, { limit: 300, late, clock: fakeClock() })).rejects.toThrow("refused");
  });

  it("ends a pause of the machine's clock when it is aborted", async () => {
    const stop = new AbortController();
    const waiting = until(() => false, { limit: 60_000, every: 60_000, late, signal: stop.signal });

    stop.abort();

    await expect(waiting).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  });
});

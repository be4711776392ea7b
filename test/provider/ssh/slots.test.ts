import { describe, expect, it } from "vitest";

import { Slots } from "../../../provider/ssh/slots.ts";

const never = new AbortController().signal;

/** Starts to wait for a slot; `has` says whether it has one. */
function waiter(slots: Slots, signal = never): { has: boolean; readonly done: Promise<void> } {
  const state = { has: false, done: Promise.resolve() };
  state.done = slots.take(signal).then(() => {
    state.has = true;
  });
  return state;
}

describe("Slots", () => {
  it("gives a released slot to the caller that waited longest", async () => {
    const slots = new Slots(1);
    await slots.take(never);
    const [first, second] = [waiter(slots), waiter(slots)];

    slots.release();
    await first.done;

    expect([first.has, second.has]).toEqual([true, false]);
  });

  it("fails with the signal's reason when the wait is aborted", async () => {
    const slots = new Slots(1);
    await slots.take(never);
    const stop = new AbortController();
    const waiting = waiter(slots, stop.signal);

    stop.abort(new Error("cancelled"));

    await expect(waiting.done).rejects.toThrow("cancelled");
  });

  it("passes a slot on when the caller that it woke is aborted in the same moment", async () => {
    const slots = new Slots(1);
    await slots.take(never);
    const stop = new AbortController();
    const [first, second] = [waiter(slots, stop.signal), waiter(slots)];

    slots.release();
    stop.abort(new Error("cancelled"));
    await expect(first.done).rejects.toThrow("cancelled");
    await second.done;

    expect(slots.taken).toBe(1);
  });

  it("lowers its limit to one fewer than now work, but at least one", async () => {
    const slots = new Slots(3);
    await slots.take(never);
    await slots.take(never);

    slots.lowerLimit();
    slots.release();
    const waiting = waiter(slots);
    await Promise.resolve();
    expect(waiting.has).toBe(false);

    slots.release();
    await waiting.done;
  });
});

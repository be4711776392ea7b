import { describe, expect, it } from "vitest";

import { describeWindow, renderInstant, windowAt, type WindowSettings } from "../../../ops/deploy/window.ts";

const MINUTE = 60_000;

const prod: WindowSettings = {
  window: { days: ["tuesday", "wednesday", "thursday"], fromUtc: "09:00", toUtc: "12:00" },
  holidays: { country: "FR", extra: ["2026-08-26"] },
  freezes: [{ from: "2026-12-18", to: "2027-01-04", reason: "fêtes" }],
};

const at = (instant: string, settings = prod) => windowAt(settings, new Date(instant));

describe("windowAt", () => {
  it.each([
    ["2026-11-24T09:00:00Z", "at its first minute"],
    ["2026-11-26T11:59:59Z", "at its last second"],
    ["2026-06-24T10:00:00Z", "in summer as in winter, because it is UTC"],
  ])("is open on %s, %s", (instant) => {
    expect(at(instant)).toEqual({ open: true, until: new Date(`${instant.slice(0, 10)}T12:00:00Z`) });
  });

  it.each([
    ["2026-11-24T08:59:59Z", "it opens from 09:00 to 12:00 UTC", "2026-11-24T09:00:00Z"],
    ["2026-11-24T12:00:00Z", "it opens from 09:00 to 12:00 UTC", "2026-11-25T09:00:00Z"],
    ["2026-11-26T12:00:00Z", "it opens from 09:00 to 12:00 UTC", "2026-12-01T09:00:00Z"],
    [
      "2026-11-27T10:00:00Z",
      "it opens on tuesday, wednesday, thursday, not on a friday",
      "2026-12-01T09:00:00Z",
    ],
    ["2026-07-14T10:00:00Z", "2026-07-14 is a holiday (Fête Nationale de la France)", "2026-07-15T09:00:00Z"],
    ["2026-05-14T10:00:00Z", "2026-05-14 is a holiday (Ascension)", "2026-05-19T09:00:00Z"],
    ["2026-05-13T10:00:00Z", "the day after is a holiday (Ascension)", "2026-05-19T09:00:00Z"],
    ["2026-08-26T10:00:00Z", "2026-08-26 is a holiday (operations.holidays.extra)", "2026-08-27T09:00:00Z"],
    [
      "2026-08-25T10:00:00Z",
      "the day after is a holiday (operations.holidays.extra)",
      "2026-08-27T09:00:00Z",
    ],
    ["2026-12-18T00:00:00Z", "of the freeze from 2026-12-18 to 2027-01-04 (fêtes)", "2027-01-05T09:00:00Z"],
    ["2027-01-04T23:59:59Z", "of the freeze from 2026-12-18 to 2027-01-04 (fêtes)", "2027-01-05T09:00:00Z"],
  ])("is closed at %s, because %s", (instant, why, next) => {
    expect(at(instant)).toEqual({ open: false, why, next: new Date(next) });
  });

  it("is open at any time where there is no window, but for freezes", () => {
    const always = { ...prod, window: undefined };

    expect(at("2026-07-14T23:00:00Z", always)).toEqual({ open: true, until: undefined });
    expect(at("2026-12-20T10:00:00Z", always)).toMatchObject({
      open: false,
      next: new Date("2027-01-05T00:00:00Z"),
    });
  });

  it("finds no next opening where a freeze never ends", () => {
    const frozen = { ...prod, freezes: [{ from: "2026-01-01", to: "2999-12-31", reason: "arrêt" }] };

    expect(at("2026-11-24T10:00:00Z", frozen)).toMatchObject({ open: false, next: undefined });
  });

  it("agrees with itself at every quarter of an hour of two years", () => {
    const open: Date[] = [];
    let last: Date | undefined;
    for (
      let time = Date.parse("2026-01-01T00:00:00Z");
      time < Date.parse("2028-01-01T00:00:00Z");
      time += 15 * MINUTE
    ) {
      const instant = new Date(time);
      const state = windowAt(prod, instant);
      if (state.open) {
        open.push(instant);
        expect(windowAt(prod, new Date(state.until!.getTime() - 1))).toMatchObject({ open: true });
        expect(windowAt(prod, state.until!)).toMatchObject({ open: false });
        // What was announced until now is what has come.
        if (last !== undefined) expect(last.getTime()).toBe(time);
        last = undefined;
        continue;
      }
      expect(state.next!.getTime()).toBeGreaterThan(time);
      if (last !== undefined) expect(state.next).toEqual(last);
      last = state.next;
      if (instant.getUTCHours() === 0 && instant.getUTCMinutes() === 0)
        expect(windowAt(prod, state.next!)).toMatchObject({ open: true });
    }
    const days = new Set(open.map((instant) => instant.toISOString().slice(0, 10)));
    expect(open.length).toBe(days.size * 12);
    expect([...days].map((day) => new Date(day).getUTCDay()).every((day) => day >= 2 && day <= 4)).toBe(true);
    expect(days.size).toBeGreaterThan(280);
    expect(days.size).toBeLessThan(300);
  });
});

describe("renderInstant", () => {
  it("names the day and says that it is UTC", () => {
    expect(renderInstant(new Date("2026-12-01T09:00:00Z"))).toBe("Tuesday 2026-12-01 09:00 UTC");
  });
});

describe("describeWindow", () => {
  it.each([
    ["2026-11-24T10:00:00Z", prod, true, "ouverte jusqu'à 12:00 UTC"],
    ["2026-11-24T10:00:00Z", { ...prod, window: undefined }, false, "ouverte sans limite"],
    ["2026-11-28T10:00:00Z", prod, true, "fermée, en urgence"],
    // A rollback needs no window.
    ["2026-11-28T10:00:00Z", prod, false, "fermée"],
  ])("says at %s, with these settings and in an emergency or not", (instant, settings, emergency, words) => {
    expect(describeWindow(settings, { at: new Date(instant), emergency })).toBe(words);
  });
});

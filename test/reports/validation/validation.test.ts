import { describe, expect, it } from "vitest";

import type { AuditEvent } from "../../../common/release.ts";
import {
  describeResult,
  dueWindows,
  resultOf,
  verdictOf,
  windowsOf,
  type Finding,
} from "../../../reports/validation/validation.ts";
import { release } from "../facts.ts";

const at = (day: number, hour = 9) =>
  `2026-11-${String(day).padStart(2, "0")}T${String(hour).padStart(2, "0")}:00:00Z`;
const on = (day: number, hour?: number) => new Date(at(day, hour));
const ran = (number: number, day: number, changes = {}) =>
  release(number, { startedAt: at(day, 8), finishedAt: at(day), ...changes });
const ok: Finding = { what: "p95", verdict: "ok", text: "0,4 s" };
const worse: Finding = { what: "disque", verdict: "worse", text: "91 %" };
const missing: Finding = { what: "mémoire", verdict: "not-measured", text: "mesuré 12 % du temps" };

describe("the windows of a release", () => {
  it("are its first day and its first week, beside the same time of the release before", () => {
    const [, , first, week] = windowsOf([ran(1, 1), ran(2, 4)]);

    expect(first).toMatchObject({ day: 1, from: on(4), until: on(5), replacedBy: undefined });
    expect(first!.before).toMatchObject({ from: on(3, 8), until: on(4, 8), release: { number: 1 } });
    expect(week).toMatchObject({ day: 7, until: on(11), before: { from: on(1), until: on(4, 8) } });
  });

  it("end where the next release takes its place, also one that was rolled back", () => {
    const releases = [
      ran(1, 1),
      ran(2, 3, { outcome: "failed" }),
      ran(3, 4, { outcome: "rolled-back", restored: 1 }),
    ];

    expect(windowsOf(releases).map(({ day, until, replacedBy }) => [day, until, replacedBy?.number])).toEqual(
      [
        [1, on(2), undefined],
        [7, on(4, 8), 3],
      ],
    );
  });

  it("compare the release after a rollback with what that rollback restored", () => {
    const releases = [ran(1, 1), ran(2, 2, { outcome: "rolled-back", restored: 1 }), ran(3, 5)];
    const [window] = windowsOf(releases).filter(({ release: { number } }) => number === 3);

    expect(window!.before).toMatchObject({ release: { number: 1 }, from: on(4, 8), until: on(5, 8) });
  });

  it("have nothing before them for the first release, and are none for one that did not serve", () => {
    expect(windowsOf([ran(1, 1)])[0]!.before).toBeUndefined();
    expect(windowsOf([ran(1, 1, { outcome: "running", finishedAt: undefined })])).toEqual([]);
  });
});

describe("what is to be validated", () => {
  const due = (now: Date, history: readonly AuditEvent[] = []) =>
    dueWindows({ releases: [ran(1, 1)], history }, now).map(({ day }) => day);

  it.each([
    [on(1, 20), []],
    [on(2), []],
    [on(2, 10), [1]],
    [on(9), [1, 7]],
    [on(20), [7]],
    [on(30), []],
  ])("at %s is %j", (now, days) => {
    expect(due(now)).toEqual(days);
  });

  it("is nothing that has a line in the audit", () => {
    const [window] = windowsOf([ran(1, 1)]);
    const event = validation(describeResult(window!, [ok]));

    expect(due(on(9), [event])).toEqual([7]);
    expect(due(on(9), [{ ...event, release: 2 }])).toEqual([1, 7]);
    expect(due(on(9), [{ ...event, at: at(1, 1) }])).toEqual([1, 7]);
  });
});

function validation(detail: string): AuditEvent {
  return { at: at(2, 10), who: "CI", action: "validation", reason: "", detail, release: 1 };
}

describe("the verdict", () => {
  it.each([
    [[ok], "ok"],
    [[ok, missing], "not-measured"],
    [[ok, missing, worse], "worse"],
    [[], "not-measured"],
  ])("of %j is %s", (findings, verdict) => {
    expect(verdictOf(findings, { replacedBy: undefined })).toBe(verdict);
  });

  it("of a time that another release cut short is never ok, but may be worse", () => {
    expect(verdictOf([ok], { replacedBy: ran(2, 2) })).toBe("not-measured");
    expect(verdictOf([worse], { replacedBy: ran(2, 2) })).toBe("worse");
  });

  it("is read from the audit as it was written, with the worst first", () => {
    const [window] = windowsOf([ran(1, 1)]);
    const detail = describeResult(window!, [ok, missing, worse]);

    expect(detail).toBe(
      "Validation J+1 : moins bien ; disque moins bien : 91 % ; mémoire non mesuré : mesuré 12 % du temps ; p95 0,4 s",
    );
    expect(resultOf([validation(detail)], window!)).toEqual({
      at: at(2, 10),
      verdict: "worse",
      text: "disque moins bien : 91 % ; mémoire non mesuré : mesuré 12 % du temps ; p95 0,4 s",
    });
    expect(resultOf([validation(detail)], { ...window!, day: 7 })).toBeUndefined();
  });
});

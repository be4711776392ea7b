import { describe, expect, it } from "vitest";

import { judge, type Measured } from "../../../ops/validation/judge.ts";
import type { Measures } from "../../../ops/validation/measure.ts";
import type { Backups } from "../../../reports/facts.ts";
import { windowsOf } from "../../../reports/validation/validation.ts";
import { release } from "../../reports/facts.ts";
import { environmentWith } from "../../support/fixtures.ts";

const [window] = windowsOf([
  release(1, { startedAt: "2026-11-20T08:00:00Z", finishedAt: "2026-11-20T09:00:00Z" }),
]);

const measures = (values: Readonly<Record<string, number>>, covered = 1): Measures => ({
  seconds: 86_400,
  values: new Map(Object.entries(values)),
  trends: new Map(),
  covered: new Map((["backups", "drills", "rules"] as const).map((source) => [source, covered])),
});

const drill = (passed: boolean, at = "2026-11-20T12:00:00Z"): Backups["drills"][number] => ({
  ...{ set: "01234567", at, took: 60, passed, findings: [] },
});

function judged(what: string, change: Partial<Measured>): string {
  const measured: Measured = {
    ...{ window: window!, environment: environmentWith(), before: undefined, views: [], faults: [] },
    ...{ now: measures({ backupHours: 1.5, drillDays: 3 }), backups: { drills: [] } },
    ...change,
  };
  const found = judge(measured).find((finding) => finding.what === what)!;
  return `${found.verdict}: ${found.text}`;
}

describe("the backups of a release's first day", () => {
  const age = "âge de la dernière sauvegarde";

  it("are ok as long as the oldest was young enough", () => {
    expect(judged(age, {})).toBe("ok: 1,5 h");
    expect(judged(age, { now: measures({ backupHours: 30 }) })).toBe("worse: 30 h, seuil 3 h");
  });

  it("are not measured where they are not known the whole time, or none is set up", () => {
    expect(judged(age, { now: measures({ backupHours: 1.5 }, 0.5) })).toBe(
      "not-measured: mesuré 50 % du temps",
    );
    expect(judged(age, { now: measures({}) })).toBe("not-measured: aucune mesure");
    expect(judged(age, { backups: undefined })).toBe("not-measured: aucune sauvegarde n'est prévue");
  });
});

describe("the drills of a release's first day", () => {
  const drills = "essais de restauration";

  it("are worse when one of that day failed, and only of that day", () => {
    expect(judged(drills, { backups: { drills: [drill(true), drill(false)] } })).toBe(
      "worse: 2 essais, 1 échoué",
    );
    expect(judged(drills, { backups: { drills: [drill(false, "2026-11-19T12:00:00Z")] } })).toBe(
      "ok: 0 essai, 0 échoué, au plus 3 jours",
    );
  });

  it("are worse when the last one is too long ago", () => {
    expect(judged(drills, { now: measures({ drillDays: 40 }) })).toMatch(
      /^worse: 0 essai, .* 40 jours, seuil /,
    );
  });
});

describe("the alerts of a release's first day", () => {
  const fault = {
    ...{ id: "ServiceDown-qdrant", severity: "P1", title: "ServiceDown", labels: {}, isActive: false },
    ...{ isOver: true, from: new Date("2026-11-20T12:00:00Z"), until: new Date("2026-11-20T12:10:00Z") },
  };

  it("are none that planned work caused, or that another one explains", () => {
    for (const quiet of ["planned", "explained"] as const)
      expect(judged("alertes P1 et P2", { faults: [{ ...fault, quiet }] })).toBe("ok: aucune");
    expect(judged("alertes P1 et P2", { faults: [{ ...fault, quiet: undefined }] })).toMatch(
      /^worse: 1, 10 min/,
    );
  });
});

describe("availability", () => {
  const view = (value: number | undefined, before?: number) => [{ from: "vue de staging", value, before }];

  it.each([
    [100, 100, "ok"],
    [99.6, 99.65, "ok"],
    [99.6, undefined, "ok"],
    [99.6, 99.9, "worse"],
    [99.4, 99.4, "worse"],
    [undefined, 100, "not-measured"],
  ])("of %s %% after %s %% is %s", (value, before, verdict) => {
    expect(judged("disponibilité", { views: view(value, before) })).toMatch(new RegExp(`^${verdict}:`));
  });
});

import { describe, expect, it } from "vitest";

import { judgeBackups, type BackupStatus } from "../../../ops/backup/status.ts";
import { environmentWith } from "../../support/fixtures.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z");
const environment = environmentWith({ backup: { project: "0".repeat(32), region: "RBX" } });
const last = (time: string) => ({ id: "0123456789abcdef", time });
const drill = (at: string, passed = true) => ({
  ...{ set: "0123456789abcdef", at, took: 60, passed, counts: {} },
  findings: passed ? [] : ["qdrant technicia: expected 10 points, got 9"],
});
const judge = (status: Partial<BackupStatus>) =>
  judgeBackups(
    { drills: [], kept: [], setUpAt: "2026-11-01T00:00:00Z", ...status },
    { environment, now: NOW },
  );

describe("judgeBackups", () => {
  it("names the command that finishes what was interrupted", () => {
    const finishedBy = 'npm run rollback -- test --with-data --reason "…"';

    expect(judge({ restoring: "fedcba9876543210", finishedBy }).detail).toBe(
      `une restauration du jeu fedcba98 est en cours ou a été interrompue : ${finishedBy} la termine`,
    );
  });

  it("agrees to a young set and a recent rehearsal", () => {
    const judged = judge({ last: last("2026-11-24T09:30:00Z"), drills: [drill("2026-11-20T02:30:00Z")] });

    expect(judged).toEqual({
      outcome: "ok",
      detail: "jeu 01234567 de 0.5 h, essai de restauration réussi il y a 4 jours",
    });
  });

  it.each<[string, Partial<BackupStatus>, string]>([
    ["no set", {}, "aucun jeu : npm run backup -- test en fait un"],
    [
      "an old set, with the reason",
      {
        last: last("2026-11-24T06:00:00Z"),
        failure: { command: "make", at: "2026-11-24T09:00:00Z", text: "no space" },
      },
      "le dernier jeu a 4.0 h, plus que 3 h : npm run backup -- test ; dernier échec : no space",
    ],
    [
      "a set of a time that has not come, which would stay the newest",
      { last: last("2026-11-24T11:00:00Z"), drills: [drill("2026-11-23T02:30:00Z")] },
      "le dernier jeu porte une date à venir (2026-11-24T11:00:00Z) : une horloge est ou était fausse ; timedatectl sur le serveur, puis npm run backup -- test",
    ],
    [
      "a rehearsal of a time that has not come",
      { last: last("2026-11-24T09:00:00Z"), drills: [drill("2026-11-24T11:00:00Z")] },
      "le dernier essai de restauration porte une date à venir (2026-11-24T11:00:00Z) : une horloge est ou était fausse ; timedatectl sur le serveur, puis npm run drill -- test",
    ],
    [
      "a rehearsal that failed",
      {
        last: last("2026-11-24T09:00:00Z"),
        drills: [drill("2026-11-20T02:30:00Z"), drill("2026-11-23T02:30:00Z", false)],
      },
      "jeu 01234567 de 1.0 h, mais l'essai de restauration a échoué : qdrant technicia: expected 10 points, got 9",
    ],
    [
      "a rehearsal of long ago",
      { last: last("2026-11-24T09:00:00Z"), drills: [drill("2026-11-01T02:30:00Z")] },
      "jeu 01234567 de 1.0 h, dernier essai de restauration il y a 23 jours : npm run drill -- test",
    ],
  ])("refuses %s", (_what, status, detail) => {
    expect(judge(status)).toEqual({ outcome: "failed", detail });
  });

  it("refuses while a restore is under way or was interrupted, whatever else holds", () => {
    const good = { last: last("2026-11-24T09:30:00Z"), drills: [drill("2026-11-20T02:30:00Z")] };

    expect(judge({ ...good, restoring: "fedcba9876543210" })).toEqual({
      outcome: "failed",
      detail:
        "une restauration du jeu fedcba98 est en cours ou a été interrompue : npm run restore -- test --set fedcba98 la termine",
    });
  });

  it("says nothing of a failure before the newest set", () => {
    const failure = { command: "make", at: "2026-11-24T05:00:00Z", text: "no space" };

    expect(judge({ last: last("2026-11-24T06:00:00Z"), failure }).detail).not.toContain("no space");
  });

  it("says that a rehearsal could not be made after the last good one", () => {
    const failure = { command: "drill", at: "2026-11-23T02:30:00Z", text: "no memory" };
    const status = { last: last("2026-11-24T09:00:00Z"), failure };
    const notChecked = {
      outcome: "not-checked",
      detail:
        "jeu 01234567 de 1.0 h, mais le dernier essai de restauration n'a pas pu se faire : no memory ; npm run drill -- test",
    };

    expect(judge({ ...status, drills: [drill("2026-11-22T02:30:00Z")] })).toEqual(notChecked);
    expect(judge(status)).toEqual(notChecked);
    expect(judge({ ...status, drills: [drill("2026-11-23T03:00:00Z")] })).toMatchObject({ outcome: "ok" });
  });

  it("does not know before the first rehearsal", () => {
    expect(judge({ last: last("2026-11-24T09:00:00Z") })).toMatchObject({
      outcome: "not-checked",
      detail: "jeu 01234567 de 1.0 h, jamais restauré à l'essai : npm run drill -- test",
    });
  });
});

import { describe, expect, it } from "vitest";

import type { BackupStatus } from "../../../ops/backup/status.ts";
import { backupFindings, type StoredSet } from "../../../ops/drift/backups.ts";
import { environmentWith } from "../../support/fixtures.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z");
const environment = environmentWith({ backup: { project: "0".repeat(32), region: "RBX" } });
const young = { id: "0123456789abcdef", time: "2026-11-24T09:30:00Z" };
const rehearsed = {
  set: "0123456789abcdef",
  at: "2026-11-20T02:30:00Z",
  took: 60,
  passed: true,
  counts: {},
  findings: [],
};
const find = (
  status: Partial<BackupStatus>,
  stored: StoredSet = status.last && { ...status.last, isIntact: true },
) =>
  backupFindings(
    { status: { drills: [], kept: [], setUpAt: "2026-10-01T00:00:00Z", ...status }, stored },
    { environment, now: NOW },
  );

describe("backupFindings", () => {
  it("are none with a young set and a recent rehearsal, and where the program has not run", () => {
    expect(find({ last: young, drills: [rehearsed] })).toEqual([]);
    expect(backupFindings({ status: undefined, stored: undefined }, { environment, now: NOW })).toEqual([]);
  });

  it.each<[string, Partial<BackupStatus>, [what: string, expected: string, found: string, repair: string]]>([
    ["no set", {}, ["newest set", "at most 3 h old", "no set", "npm run backup -- test"]],
    [
      "an old set, with the reason",
      {
        last: { ...young, time: "2026-11-24T06:00:00Z" },
        failure: { command: "make", at: "2026-11-24T09:00:00Z", text: "no space" },
      },
      ["newest set", "at most 3 h old", "4.0 h old; the last one failed: no space", "npm run backup -- test"],
    ],
    [
      "no rehearsal",
      { last: young },
      ["last rehearsal", "passed within 14 days", "none", "npm run drill -- test"],
    ],
    [
      "a rehearsal that failed",
      { last: young, drills: [{ ...rehearsed, passed: false, findings: ["one point is missing"] }] },
      ["last rehearsal", "passed within 14 days", "failed: one point is missing", "npm run drill -- test"],
    ],
    [
      "a rehearsal that could not begin",
      {
        ...{ last: young, drills: [rehearsed] },
        failure: { command: "drill", at: "2026-11-21T02:30:00Z", text: "no memory" },
      },
      [
        "last rehearsal",
        "passed within 14 days",
        "the last one could not begin: no memory",
        "npm run drill -- test",
      ],
    ],
    [
      "a rehearsal of long ago",
      { last: young, drills: [{ ...rehearsed, at: "2026-11-01T02:30:00Z" }] },
      ["last rehearsal", "passed within 14 days", "23 days ago", "npm run drill -- test"],
    ],
    [
      "a set of a time that has not come",
      { last: { ...young, time: "2026-11-24T11:00:00Z" }, drills: [rehearsed] },
      [
        "newest set",
        "at most 3 h old",
        "of 2026-11-24T11:00:00Z, which has not come yet: a clock is or was wrong",
        "timedatectl on the server, then npm run backup -- test",
      ],
    ],
    [
      "a restore that was interrupted",
      { last: young, drills: [rehearsed], restoring: "fedcba9876543210" },
      [
        "restore",
        "none under way",
        "one of the set fedcba98 was begun and has not ended",
        "npm run restore -- test --set fedcba98 finishes it",
      ],
    ],
  ])("report %s", (_what, status, [what, expected, found, command]) => {
    expect(find(status)).toEqual([
      {
        ...{ layer: "host", resource: "backups", what, expected: [expected], found: [found] },
        repair: `nothing automatic: ${command}`,
      },
    ]);
  });

  it("believe the storage, and not what the server says", () => {
    const told = { last: young, drills: [rehearsed] };

    expect(find(told, { id: "feed", time: "2026-11-24T03:00:00Z", isIntact: true })[0]?.found).toEqual([
      "7.0 h old",
    ]);
    expect(
      backupFindings(
        { status: { ...told, kept: [], setUpAt: "2026-10-01T00:00:00Z" }, stored: undefined },
        { environment, now: NOW },
      )[0]?.found,
    ).toEqual(["no set"]);
    expect(find(told, { id: "0123456789abcdef", time: young.time, isIntact: false })[0]).toMatchObject({
      found: ["set 01234567 has another content: somebody has written over it, or has added it"],
      repair: "nothing automatic: npm run backups -- test --undelete",
    });
  });

  it("are none while the timers have not had their time after the first deployment", () => {
    expect(find({ setUpAt: "2026-11-24T09:00:00Z" })).toEqual([]);
    expect(find({ setUpAt: "2026-11-20T09:00:00Z", last: young })).toEqual([]);
  });
});

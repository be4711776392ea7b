import { describe, expect, it } from "vitest";

import type { AuditEvent, Release } from "../../../common/release.ts";
import { agesOf, agingNames } from "../../../ops/rotation/ages.ts";
import { describeRotated, type RotationName } from "../../../secrets/rotations.ts";

const FIRST = { startedAt: "2026-01-10T09:00:00Z" } as Release;
const NOW = new Date("2026-11-24T10:00:00Z");

function rotated(at: string, ...names: RotationName[]): AuditEvent {
  return { at, who: "alice", action: "secret", reason: "", detail: describeRotated(names) };
}

const ages = (names: readonly RotationName[], history: readonly AuditEvent[] = []) =>
  agesOf({ names, records: { releases: [FIRST], history }, now: NOW });

describe("agesOf", () => {
  it("counts from the last rotation", () => {
    const history = [
      rotated("2026-03-01T09:00:00Z", "qdrantApiKey"),
      rotated("2026-10-01T09:00:00Z", "qdrantApiKey"),
    ];

    expect(ages(["qdrantApiKey"], history)).toEqual([
      { name: "qdrantApiKey", since: "2026-10-01", due: "2027-03-30", isDue: false },
    ]);
  });

  it("counts from the first release where none is recorded, and is due on the day itself", () => {
    expect(ages(["qdrantApiKey"])).toEqual([
      { name: "qdrantApiKey", since: "2026-01-10", due: "2026-07-09", isDue: true },
    ]);
    const [onTheDay] = agesOf({
      names: ["qdrantApiKey"],
      records: { releases: [FIRST], history: [] },
      now: new Date("2026-07-09T10:00:00Z"),
    });
    expect(onTheDay!.isDue).toBe(true);
  });

  it("takes a changed resource for no rotation of the secret", () => {
    const changed = { ...rotated("2026-11-01T09:00:00Z"), detail: "secrets changés : qdrantApiKey" };

    expect(ages(["qdrantApiKey"], [changed])[0]!.since).toBe("2026-01-10");
  });

  it("puts what is due first, and says unknown where the records are", () => {
    const history = [rotated("2026-11-01T09:00:00Z", "ovhConsumerKey", "passphrase")];
    expect(
      ages(["passphrase", "ovhConsumerKey", "postgresPassword"], history).map(({ name }) => name),
    ).toEqual(["postgresPassword", "ovhConsumerKey", "passphrase"]);
    expect(agesOf({ names: ["passphrase"], records: { why: "no server" }, now: NOW })).toEqual([
      { name: "passphrase", since: undefined, due: undefined, isDue: false },
    ]);
  });
});

describe("agingNames", () => {
  it("leaves out what is not set, what is never rotated, and a bucket that the program has not made", () => {
    const configured = new Set(["qdrantApiKey", "n8nEncryptionKey"] as const);

    expect(agingNames(configured, { backup: { project: "" } })).toEqual([
      ...["qdrantApiKey", "passphrase", "ssh", "stateKeys", "ciKeys"],
    ]);
    expect(agingNames(configured, { backup: { project: "p" } })).toContain("backupStorageKeys");
  });
});

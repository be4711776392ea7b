import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Journal, journalFolder, markerOf } from "../../../../provider/ovh/order/journal.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "technicia-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ORDER = { id: 7, plan: "vps-2027-model2", monthlyPriceEur: 8.79 };

describe("Journal", () => {
  it("is read by the next process, one journal for each subject", () => {
    Journal.open(folder, "a").note({ order: ORDER });
    Journal.open(folder, "a").note({ isPaying: true });

    expect(Journal.open(folder, "a").entry).toEqual({ subject: "a", order: ORDER, isPaying: true });
    expect(Journal.open(folder, "b").entry).toEqual({ subject: "b" });
  });

  it("lists the orders of other resources", () => {
    Journal.open(folder, "a").note({ order: ORDER });
    Journal.open(folder, "b").note({ order: { ...ORDER, id: 8 } });

    expect([...Journal.open(folder, "b").ordersOfOthers()]).toEqual([7]);
    expect([...Journal.open(join(folder, "none"), "b").ordersOfOthers()]).toEqual([]);
  });

  it("forgets everything when it is cleared", () => {
    const journal = Journal.open(folder, "a");
    journal.note({ order: ORDER });
    journal.clear();

    expect(journal.entry).toEqual({ subject: "a" });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is readable by its owner only, and is written atomically", () => {
    const journal = Journal.open(folder, "a");
    journal.note({ order: ORDER });

    expect(readdirSync(folder)).toHaveLength(1);
    expect(statSync(journal.path).mode & 0o777).toBe(0o600);
  });

  it("fails when it cannot be read, as it may hide an order", () => {
    const journal = Journal.open(folder, "a");
    journal.note({ order: ORDER });
    writeFileSync(journal.path, "{");

    expect(() => Journal.open(folder, "a")).toThrow(
      `${journal.path}: expected the journal of an order, got an unreadable file; restore or remove it`,
    );
  });

  it("is kept with Pulumi's own files", () => {
    vi.stubEnv("PULUMI_HOME", "/somewhere");
    expect(journalFolder()).toBe("/somewhere/technicia");
    vi.stubEnv("PULUMI_HOME", "");
    expect(journalFolder()).toBe(join(homedir(), ".pulumi", "technicia"));
  });
});

describe("markerOf", () => {
  it("names project, stack and resource, whatever component it is in", () => {
    expect(markerOf("urn:pulumi:prod::technicia::technicia:infra:Vps$technicia:ovh:Vps::server")).toBe(
      "technicia technicia/prod/server",
    );
    expect(markerOf("urn:pulumi:prod::technicia::technicia:ovh:Vps::a::b")).toBe(
      "technicia technicia/prod/a::b",
    );
  });
});

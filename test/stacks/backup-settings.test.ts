import { describe, expect, it } from "vitest";

import { backupBucket } from "../../stacks/backup-schema.ts";
import { imagesInUse } from "../../stacks/images.ts";
import { environmentWith } from "../support/fixtures.ts";

const project = "0123456789abcdef0123456789abcdef";
const bucket = { address: "https://s3.example.org", region: "eu-1", name: "ours" };
const refusal = (backup: object) => {
  try {
    environmentWith({ backup });
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

describe("the settings of backups", () => {
  it.each([
    [{ project, region: "RBX", bucket }, "backup: expected either project"],
    [{ project }, "backup.region: expected a value, because backup.project is set, got nothing"],
    [{ region: "RBX" }, "backup.project: expected a value, because backup.region is set, got nothing"],
    [
      { project, region: "GRA" },
      `expected another region than the server's (server.datacentre "GRA"), got "GRA"`,
    ],
    [
      { project, region: "RBX", hours: 4 },
      "backup.maxAgeHours: expected at least 8 (twice backup.hours), got 3",
    ],
    [{ project: "mine", region: "RBX" }, "expected the id of a Public Cloud project"],
    [{ project, region: "rbx" }, "expected a region of OVHcloud's Object Storage"],
    [
      { bucket: { ...bucket, address: "http://s3.example.org" } },
      "expected the address of an S3 storage (https://…)",
    ],
    [{ bucket: { ...bucket, name: "Ours" } }, "expected the name of a bucket"],
  ])("refuse %j", (backup, expected) => {
    expect(refusal(backup)).toContain(expected);
  });

  it("count the memory of a backup and of a rehearsal with the services' limits", () => {
    expect(refusal({ project, region: "RBX", drillMemoryMib: 4096 })).toContain("backup 4352");
    expect(refusal({ drillMemoryMib: 4096 })).toBe("");
  });
});

describe("backupBucket", () => {
  it("is nowhere without a project and a bucket", () => {
    expect(backupBucket("prod", environmentWith().backup)).toBeUndefined();
  });

  it("has another name in every environment and every project", () => {
    const of = (stack: string, id: string) =>
      backupBucket(stack, { project: id, region: "RBX", bucket: undefined })?.bucket;

    expect(new Set([of("prod", project), of("test", project), of("prod", "f".repeat(32))]).size).toBe(3);
    expect(of("prod", project)).toMatch(/^[a-z0-9-]{3,63}$/);
  });
});

describe("imagesInUse", () => {
  it("has restic's image exactly where there are backups", () => {
    const has = (changes = {}) =>
      imagesInUse(environmentWith(changes)).some(({ service }) => service === "restic");

    expect(has()).toBe(false);
    expect(has({ backup: { bucket } })).toBe(true);
  });
});

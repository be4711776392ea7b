import { describe, expect, it } from "vitest";

import { administratorPolicy, readerPolicy, writerPolicy } from "../../common/storage-policies.ts";
import { Sealed } from "../support/engine.ts";
import { deploy, everything, usual } from "../support/technicia.ts";

const place = { bucket: "backups", prefix: "prod" };
const rightsIn = (policy: ReturnType<typeof writerPolicy>) =>
  policy.Statement.flatMap(({ Action, Resource }) =>
    Action.flatMap((action) =>
      Resource.map((resource) => `${action} ${resource.replace("arn:aws:s3:::", "")}`),
    ),
  );

describe("writerPolicy", () => {
  it("lets the server delete nothing but restic's locks, and change no rule of the bucket", () => {
    const rights = rightsIn(writerPolicy(place));

    expect(rights.filter((right) => right.includes("Delete"))).toEqual([
      "s3:DeleteObject backups/prod/locks/*",
    ]);
    expect(
      rights.filter((right) => /\*.*:|Bypass|Policy|Lifecycle|Retention|Versioning|Lock(?!s)/.test(right)),
    ).toEqual([]);
  });

  it("admits to the objects of its own environment only", () => {
    const objects = rightsIn(writerPolicy(place)).filter((right) => right.includes("Object"));

    expect(objects.filter((right) => !right.includes(" backups/prod/"))).toEqual([]);
  });
});

describe("readerPolicy", () => {
  it("only reads", () => {
    expect(rightsIn(readerPolicy(place))).toEqual([
      "s3:ListBucket backups",
      "s3:ListBucketVersions backups",
      "s3:GetBucketLocation backups",
      "s3:GetObject backups/prod/*",
    ]);
  });
});

describe("administratorPolicy", () => {
  it("removes what is locked, and changes no rule of the bucket", () => {
    const rights = rightsIn(administratorPolicy({ bucket: "backups" }));

    expect(rights).toContain("s3:BypassGovernanceRetention backups/*");
    expect(rights.filter((right) => /s3:(\*|Put(?!Object )|DeleteBucket|CreateBucket)/.test(right))).toEqual(
      [],
    );
  });
});

describe("BackupStorage", () => {
  it("makes a bucket whose objects nobody can delete before the retention ends, and keeps it when it is destroyed", async () => {
    const { resource } = await deploy(everything);
    const bucket = resource("backup-storage-bucket");

    expect(bucket.inputs).toMatchObject({
      name: "technicia-backup-test-0123456789ab",
      regionName: "RBX",
      versioning: { status: "enabled" },
      objectLock: { status: "enabled", rule: { mode: "governance", period: "P30D" } },
      hideObjects: true,
    });
    expect(bucket).toMatchObject({ protect: true, retainOnDelete: true });
  });

  it("frees what was pruned some days after the retention, or nothing would ever be freed", async () => {
    const { resource } = await deploy(everything);

    expect(resource("backup-storage-lifecycle").inputs["rules"]).toMatchObject([
      { noncurrentVersionExpiration: { noncurrentDays: 33 } },
      { expiration: { expiredObjectDeleteMarker: true } },
      { abortIncompleteMultipartUpload: { daysAfterInitiation: 3 } },
    ]);
  });

  it.each(["writer", "reader"])("gives the %s a key only once the user is limited", async (user) => {
    const { waitsFor } = await deploy(everything);

    expect(waitsFor(`backup-storage-${user}-key`, `backup-storage-${user}-policy`)).toBe(true);
    expect(waitsFor(`backup-storage-${user}-policy`, "backup-storage-bucket")).toBe(true);
  });

  it("creates nothing where no project is named", async () => {
    const { registrations } = await deploy(usual);

    expect(registrations.filter(({ name }) => name.startsWith("backup"))).toEqual([]);
  });
});

describe("the keys", () => {
  it("are secrets wherever they go", async () => {
    const { resource } = await deploy(everything);
    const files = ["backup-writer", "backup-reader", "backup-password", "backup-qdrant-key"].map(resource);

    for (const { inputs } of files) expect(inputs["content"]).toBeInstanceOf(Sealed);
  });
});

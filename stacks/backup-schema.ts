/** The settings of backups: where the sets are kept, how often they are made, and how long nobody can delete them. */
import { z } from "zod";

import { ovhStorageAddress } from "../common/object-storage.ts";
import { isServiceAddress, map, optionalMap, text, whole } from "./setting-types.ts";

const bucketName = text(
  "expected the name of a bucket, 3 to 63 lower-case letters, digits, dots and hyphens",
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
);

export const backup = map({
  project: text("expected the id of a Public Cloud project, 32 hexadecimal digits", /^[0-9a-f]{32}$/)
    .default("")
    .meta({
      description:
        "OVHcloud's id of the Public Cloud project in which the program makes the bucket and its users. Without it and without `backup.bucket` there are no backups.",
      example: "0123456789abcdef0123456789abcdef",
    }),
  region: text(
    "expected a region of OVHcloud's Object Storage, such as RBX",
    /^[A-Z]{2,4}(-[A-Z]{3,5}){0,2}$/,
  )
    .default("")
    .meta({
      description: "Region of the bucket in that project, another one than the server's.",
      example: "RBX",
    }),
  bucket: optionalMap({
    address: text(
      "expected the address of an S3 storage (https://…) without a slash at the end",
      (address) => isServiceAddress(address) && address.startsWith("https:") && !address.endsWith("/"),
    ).meta({ description: "Address of the storage.", example: "https://s3.rbx.io.cloud.ovh.net" }),
    region: text("expected the region as the storage signs it, such as rbx", /^[a-z0-9-]{2,32}$/).meta({
      description: "Region as the storage signs it, in lower case.",
      example: "rbx",
    }),
    name: bucketName.meta({ description: "Name of the bucket.", example: "exemple-sauvegardes" }),
  })
    .meta({
      description:
        "A bucket of yours, with versions and object lock, instead of one that the program makes; its keys are the secrets `backupWriterKey` and `backupReaderKey`.",
      example: { address: "https://s3.rbx.io.cloud.ovh.net", region: "rbx", name: "exemple-sauvegardes" },
    })
    .optional(),
  retentionDays: whole("days", { least: 7, most: 365 }).prefault(30).meta({
    description: "How long nobody can delete or overwrite a set, in days; also not with the server's key.",
    example: 30,
  }),
  hours: whole("hours", { least: 1, most: 24 }).prefault(1).meta({
    description: "Hours between two sets; so much of n8n's data may be lost with the server.",
    example: 1,
  }),
  qdrantHours: whole("hours", { least: 1, most: 168 }).prefault(24).meta({
    description: "Hours between two snapshots of Qdrant, which the sets between them carry on.",
    example: 24,
  }),
  maxAgeHours: whole("hours", { least: 2, most: 336 }).prefault(3).meta({
    description: "Age of the newest set above which a deployment is refused, in hours.",
    example: 3,
    affects: "deploy",
  }),
  drillDays: whole("days", { least: 1, most: 35 }).prefault(7).meta({
    description: "Days between two rehearsals of a restore on the server.",
    example: 7,
  }),
  memoryMib: whole("MiB", { least: 192, most: 2048 }).prefault(256).meta({
    description: "Hard memory limit of the program that makes a set, in MiB.",
    example: 256,
  }),
  drillMemoryMib: whole("MiB", { least: 512, most: 8192 }).prefault(768).meta({
    description: "Hard memory limit of each service that a rehearsal starts, one after the other, in MiB.",
    example: 768,
  }),
}).meta({
  description: "Where backups are kept, and how often they are made and rehearsed.",
  affects: "backup",
});

export type BackupSettings = z.output<typeof backup>;

/** Where the sets are kept; undefined without backups. */
export function backupBucket(
  stack: string,
  { project, region, bucket }: Pick<BackupSettings, "project" | "region" | "bucket">,
): { readonly address: string; readonly region: string; readonly bucket: string } | undefined {
  if (bucket !== undefined) return { address: bucket.address, region: bucket.region, bucket: bucket.name };
  if (project === "") return undefined;
  // Names of buckets are unique among all customers of a region.
  const name = `technicia-backup-${stack}-${project.slice(0, 12)}`;
  return { address: ovhStorageAddress(region), region: region.toLowerCase(), bucket: name };
}

/** Backups: where the sets are kept, and what makes them on the server. */
import type * as pulumi from "@pulumi/pulumi";

import { Backup } from "../../components/backup.ts";
import { BackupStorage } from "../../infra/backup-storage.ts";
import { backupBucket } from "../backup-schema.ts";
import type { Site, TechniciaArgs } from "./site.ts";

/** The bucket and its two users; undefined without backups, and where the bucket is the operator's own. */
export function createBackupStorage({ environment, cloud }: TechniciaArgs): BackupStorage | undefined {
  const { name, backup, protectData } = environment;
  const place = backupBucket(name, backup);
  if (place === undefined || backup.bucket !== undefined) return undefined;
  return new BackupStorage("backup-storage", {
    ovh: cloud.ovh,
    project: backup.project,
    region: backup.region,
    bucket: place.bucket,
    prefix: name,
    retentionDays: backup.retentionDays,
    protectData,
  });
}

interface BackedUp {
  readonly storage: BackupStorage | undefined;

  /** Everything that a set takes data from. */
  readonly sources: readonly pulumi.Resource[];
}

export function createBackup(site: Site, { storage, sources }: BackedUp): Backup | undefined {
  const { environment, secrets, host } = site;
  const place = backupBucket(environment.name, environment.backup);
  if (place === undefined) return undefined;
  return new Backup(
    "backup",
    {
      host: host.connection,
      stack: environment.name,
      image: site.pull("restic"),
      place,
      database: environment.services.n8n.database,
      documents: environment.documents.enabled,
      isMonitored: environment.monitoring.enabled,
      schedule: environment.backup,
      keys: {
        writer: storage?.writer ?? secrets.value("backupWriterKey"),
        reader: storage?.reader ?? secrets.value("backupReaderKey"),
        password: secrets.value("backupPassword"),
        qdrant: environment.services.qdrant.apiKey ? secrets.value("qdrantApiKey") : undefined,
        n8n: secrets.value("n8nEncryptionKey"),
      },
    },
    { dependsOn: [...sources] },
  );
}

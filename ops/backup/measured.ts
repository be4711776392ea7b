/** How much a stack's sets took when `npm run backups` last measured them on this machine; it takes too long to measure for a preview. */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { z } from "zod";

import { cacheFolder } from "../../common/cache-folder.ts";
import { backupBucket } from "../../stacks/backup-schema.ts";
import type { Environment } from "../../stacks/environment.ts";

const measured = z.object({ bytes: z.number().nonnegative(), at: z.iso.datetime() });

export type Measured = z.output<typeof measured>;

type Place = Pick<Environment, "name" | "backup">;

/** Undefined where nobody has measured, or in another bucket. */
export async function readMeasured(place: Place): Promise<Measured | undefined> {
  const text = await readFile(fileOf(place), "utf8").catch(() => "");
  try {
    return measured.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function noteMeasured(place: Place, { bytes, at }: Measured): Promise<void> {
  const file = fileOf(place);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify({ bytes, at }));
}

/** Stacks of one name in several buckets, such as the rehearsal's, do not share it. */
function fileOf({ name, backup }: Place): string {
  const { address, bucket } = backupBucket(name, backup) ?? { address: "", bucket: "" };
  const key = createHash("sha256").update([name, address, bucket].join("\0")).digest("hex").slice(0, 16);
  return join(cacheFolder(), "cost", `backups-${name}-${key}.json`);
}

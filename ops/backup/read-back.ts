/** Reads a set from the storage with the reader's key, from this machine: what the server says of it does not count. */
import { createHash } from "node:crypto";

import {
  callStorage,
  listObjects,
  type Bucket,
  type StorageKey,
  type StorageOptions,
} from "../../common/object-storage.ts";
import { UserError } from "../../common/user-error.ts";
import { nameOf } from "../../common/urn.ts";
import { backupBucket } from "../../stacks/backup-schema.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Settings } from "../engine/settings.ts";
import { readState } from "../engine/state.ts";

export interface BackupPlace {
  readonly bucket: Bucket;
  readonly prefix: string;
  readonly key: StorageKey;
}

/** Where the stack's sets are, and the key that reads them: the operator's own, or the one in the state. */
export async function readPlace({ environment, secrets }: Settings, pulumi: Pulumi): Promise<BackupPlace> {
  const given = secrets["backupReaderKey"];
  const key = given === undefined ? await keyInState(environment.name, pulumi) : readKey(given);
  return { ...placeOf(environment), key };
}

export function placeOf({ name, backup }: Pick<Environment, "name" | "backup">): Omit<BackupPlace, "key"> {
  const bucket = backupBucket(name, backup);
  if (bucket === undefined) {
    throw new UserError(
      `technicia:backup: expected a place for backups, got none; name a Public Cloud project with pulumi config set --path technicia:backup.project <id> --stack ${name}, or a bucket of yours (docs/operations.md)`,
    );
  }
  return { bucket, prefix: name };
}

/** Both halves of a key as a secret holds them. */
export function readKey(text: string): StorageKey {
  const [accessKeyId = "", ...secret] = text.split(":");
  return { accessKeyId, secretAccessKey: secret.join(":") };
}

async function keyInState(stack: string, pulumi: Pulumi): Promise<StorageKey> {
  const { resources } = await readState(stack, pulumi, { showSecrets: true });
  const found = resources.find(({ urn }) => nameOf(urn) === "backup-storage-reader-key")?.outputs ?? {};
  const [accessKeyId, secretAccessKey] = [found["accessKeyId"], found["secretAccessKey"]].map(inClear);
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new UserError(
      `${stack}: expected the key that reads its backups in the state, got none; run pulumi up, or set the key with pulumi config set --secret technicia:backupReaderKey --stack ${stack}`,
    );
  return { accessKeyId, secretAccessKey };
}

/** A value of an export with its secrets in clear. */
function inClear(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const sealed = value as { readonly plaintext?: string } | undefined;
  return sealed?.plaintext === undefined ? undefined : String(JSON.parse(sealed.plaintext));
}

/** Whole id of a set → when the storage got it, in ISO 8601. */
export type StoredAt = ReadonlyMap<string, string>;

/** When the storage got each set. */
export async function listStored(
  { bucket, prefix, key }: BackupPlace,
  { fetch, signal }: Pick<StorageOptions, "fetch" | "signal">,
): Promise<StoredAt> {
  const folder = `${prefix}/snapshots/`;
  const stored = new Map<string, string>();
  for await (const { object, modified } of listObjects(folder, { ...bucket, key, fetch, signal }))
    stored.set(object.slice(folder.length), modified);
  return stored;
}

/** The set that the storage got last, and whether it has it as it was written. */
export async function readNewest(
  place: BackupPlace,
  options: Pick<StorageOptions, "fetch" | "signal">,
): Promise<{ readonly id: string; readonly time: string; readonly isIntact: boolean } | undefined> {
  const newest = [...(await listStored(place, options))].toSorted(([, a], [, b]) => b.localeCompare(a))[0];
  if (newest === undefined) return undefined;
  const [id, time] = newest;
  return { id, time, isIntact: await isIntact(id, place, options) };
}

/** Whether the storage has the set as it was written. restic names what it stores by its SHA-256. */
export async function isIntact(
  id: string,
  { bucket, prefix, key }: BackupPlace,
  options: Pick<StorageOptions, "fetch" | "signal">,
): Promise<boolean> {
  const object = `${prefix}/snapshots/${id}`;
  const response = await callStorage({ method: "GET", object }, { ...bucket, ...options, key });
  const digest = createHash("sha256")
    .update(new Uint8Array(await response.arrayBuffer()))
    .digest("hex");
  return digest === id;
}

/** @throws UserError where the set is not there as it was written */
export async function readBack(
  id: string,
  place: BackupPlace,
  options: Pick<StorageOptions, "fetch" | "signal">,
): Promise<void> {
  if (await isIntact(id, place, options)) return;
  const { bucket, prefix } = place;
  throw new UserError(
    `${bucket.address}/${bucket.bucket}/${prefix}/snapshots/${id}: expected the set ${id.slice(0, 8)}, got other contents; make another set with npm run backup -- ${prefix}`,
  );
}

/** The set that is brought back. It is chosen before a new server runs: that one may soon make a set of its own, which holds nothing yet. */
import { UserError } from "../../common/user-error.ts";
import { isIntact, listStored, readPlace } from "../backup/read-back.ts";
import type { BackupWorld } from "../backup/world.ts";
import { readSettings } from "../engine/settings.ts";

export interface ChosenSet {
  readonly id: string;

  /** When it was stored, in ISO 8601. */
  readonly storedAt: string;
}

type World = Pick<BackupWorld, "pulumi" | "fetch" | "signal">;

/** Asks the storage with the reader's key. `set`: beginning of an id. @default the newest */
export async function chooseSet(
  { stack, set = "" }: { readonly stack: string; readonly set: string | undefined },
  { pulumi, fetch, signal }: World,
): Promise<ChosenSet> {
  const place = await readPlace(await readSettings(stack, pulumi), pulumi);
  const { bucket, prefix } = place;
  const stored = [...(await listStored(place, { fetch, signal }))];
  const sets: ChosenSet[] = stored.flatMap(([id, storedAt]) =>
    id.startsWith(set) ? [{ id, storedAt }] : [],
  );
  const newest = sets.toSorted((one, other) => one.storedAt.localeCompare(other.storedAt)).at(-1);
  const at = `${bucket.address}/${bucket.bucket}/${prefix}`;
  if (newest === undefined)
    throw new UserError(
      set === ""
        ? `${at}: expected a set of backups to bring back, got none; if somebody has deleted them, npm run backups -- ${stack} --undelete brings them back; without a set, npm run deploy -- ${stack} sets an empty environment up`
        : `--set: expected the beginning of a set's id in ${at}, got ${set}; leave it out for the newest one`,
    );
  if (set !== "" && sets.length > 1)
    throw new UserError(`--set: expected more digits, got ${set}, with which ${sets.length} sets begin`);
  // Whoever has stolen the server's key may have written over it; that is to be found before a server is set up.
  if (await isIntact(newest.id, place, { fetch, signal })) return newest;
  throw new UserError(
    `${at}/snapshots/${newest.id}: expected the set that this name belongs to, got another content; somebody has written over it, which npm run backups -- ${stack} --undelete takes back, or has added it: --undelete --as-of <time>`,
  );
}

/** Recovery of a repository that somebody with the server's key has deleted or written over, with the administrator's key. */
import {
  callStorage,
  listVersions,
  type ObjectVersion,
  type StorageOptions,
} from "../../common/object-storage.ts";

export interface BroughtBack {
  /** Objects that were hidden, written over, or added. */
  readonly objects: number;

  /** Versions and delete markers that were removed. */
  readonly removed: number;
}

/**
 * Removes what came after the first version of every object, restic's locks aside: restic writes an object once, so the first version is the
 * true one. Whatever is removed was younger than it, so a set of today is not lost by this.
 *
 * `until`: the last moment at which nobody else had the server's key. Objects that came later are removed as a whole: whoever has the key can
 * add some that restic stumbles over.
 */
export async function bringBack(
  prefix: string,
  options: StorageOptions & { readonly until?: Date | undefined },
): Promise<BroughtBack> {
  const { until } = options;
  let [objects, removed] = [0, 0];
  for await (const versions of byObject(prefix, options)) {
    const first = versions.findLastIndex(({ isDeleteMarker }) => !isDeleteMarker);
    const isAdded =
      until !== undefined && versions.every(({ modified }) => Date.parse(modified) > until.getTime());
    const later = isAdded ? versions : versions.slice(0, Math.max(first, 0));
    if (later.length === 0) continue;
    for (const { object, version } of later) {
      await callStorage(
        {
          method: "DELETE",
          object,
          query: { versionId: version },
          headers: { "x-amz-bypass-governance-retention": "true" },
        },
        options,
      );
    }
    objects += 1;
    removed += later.length;
  }
  return { objects, removed };
}

/** The versions of one object after the other, newest first, as the storage lists them. */
async function* byObject(prefix: string, options: StorageOptions): AsyncGenerator<ObjectVersion[]> {
  let versions: ObjectVersion[] = [];
  for await (const version of listVersions(`${prefix}/`, options)) {
    if (version.object.startsWith(`${prefix}/locks/`)) continue;
    if (versions[0] !== undefined && versions[0].object !== version.object) {
      yield newestFirst(versions);
      versions = [];
    }
    versions.push(version);
  }
  if (versions.length > 0) yield newestFirst(versions);
}

// A page lists the versions and then the markers of a key, or both in the order of time.
function newestFirst(versions: readonly ObjectVersion[]): ObjectVersion[] {
  return versions.toSorted(
    (one, other) =>
      other.modified.localeCompare(one.modified) || Number(other.isLatest) - Number(one.isLatest),
  );
}

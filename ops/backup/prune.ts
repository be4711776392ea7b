/** `npm run backups -- <stack> --prune` and `--check`: what is done to the repository away from the server. */
import { z } from "zod";

import { listVersions } from "../../common/object-storage.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import { renderTable } from "../terminal.ts";
import { administratorKey } from "./administrator.ts";
import { renderTime, short } from "./backup.ts";
import { listStored, placeOf, readPlace, type BackupPlace, type StoredAt } from "./read-back.ts";
import { restic, type Repository } from "./repository.ts";
import { isToCome } from "./status.ts";
import type { BackupWorld } from "./world.ts";

/**
 * Within which time the last set of each hour, day, week and month is kept. By age and never by number: sets that a stranger adds push none out,
 * unless they name a time that has passed long ago, which `refuseBackdated` looks for.
 */
export const KEPT = { hourly: "2d", daily: "35d", weekly: "6m", monthly: "2y" } as const;

const DAY_MS = 86_400_000;

/** How long a set that was made before a release is kept whatever else is: so long that release can be taken back with its data. */
const RELEASE_MS = 35 * DAY_MS;

/** Longest time between what a set says of its time and when the storage got it: it is made in one run. */
const STORED_WITHIN_MS = DAY_MS;

const forgotten = z.array(
  z.looseObject({
    keep: z.array(z.looseObject({ id: z.string(), time: z.string() })).nullable(),
    remove: z
      .array(z.looseObject({ id: z.string(), time: z.string(), tags: z.array(z.string()).default([]) }))
      .nullable(),
  }),
);

type KeptSet = NonNullable<z.output<typeof forgotten>[number]["keep"]>[number];
type OldSet = NonNullable<z.output<typeof forgotten>[number]["remove"]>[number];

interface PruneRequest {
  readonly stack: string;
  readonly yes: boolean;
}

export async function pruneSets(request: PruneRequest, world: BackupWorld): Promise<Outcome> {
  const key = administratorKey(world.variables);
  const settings = await readSettings(request.stack, world.pulumi);
  const { retentionDays } = settings.environment.backup;
  const repository = { ...repositoryOf(settings), key };
  const storedAt = await listStored(repository, world);
  return await prune(repository, { ...request, retentionDays, storedAt }, world);
}

/** The tag by which a set names the release that ran when it was made; the others say why it was made. */
const OF_RELEASE = /^of-release-(\d+)$/;

export function releaseIn(tags: readonly string[]): string {
  return tags.flatMap((tag) => OF_RELEASE.exec(tag)?.[1] ?? []).join(", ");
}

/** The releases before which a set was made. */
export function releasesAfter(tags: readonly string[]): number[] {
  return tags.flatMap((tag) => {
    const number = /^release-(\d+)$/.exec(tag)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

/** Whether a set stays for the sake of the release that came after it, although another one of its hour or day is kept. */
export function isKeptForRelease(
  { tags, time }: { readonly tags: readonly string[]; readonly time: string },
  now: number,
): boolean {
  return releasesAfter(tags).length > 0 && now - Date.parse(time) < RELEASE_MS;
}

export function whyIn(tags: readonly string[]): string {
  return tags.filter((tag) => !OF_RELEASE.test(tag)).join(", ");
}

/** Shows which sets go, asks, and removes them with the administrator's key. */
export async function prune(
  repository: Repository,
  {
    stack,
    yes,
    retentionDays,
    storedAt,
  }: PruneRequest & { readonly retentionDays: number; readonly storedAt: StoredAt },
  world: Pick<BackupWorld, "signal" | "say" | "confirm">,
): Promise<Outcome> {
  const { kept, removed, all } = await planPrune(repository, world);
  refuseTimeToCome(all);
  refuseBackdated(all, storedAt);
  if (removed.length === 0)
    return { text: `${kept} sets are kept, and none is old enough to go`, exitCode: 0 };
  world.say(
    renderTable({
      headings: ["Set", "Made (UTC)", "Release", "Why"],
      rows: removed.map(({ id, time, tags }) => [short(id), renderTime(time), releaseIn(tags), whyIn(tags)]),
    }),
  );
  const question = `remove these ${removed.length} sets of ${stack}, and keep ${kept}?`;
  if (!yes && !(await world.confirm(question))) return { text: "nothing was changed", exitCode: 1 };
  const { signal } = world;
  // Of whoever was killed. One that somebody has renewed within half an hour stays, and then nothing is removed.
  await restic(repository, {
    purpose: "remove locks that are left over",
    words: ["unlock", "--quiet"],
    signal,
  });
  await restic(repository, {
    purpose: "remove old sets",
    words: ["forget", ...removed.map(({ id }) => id), "--prune", "--quiet"],
    signal,
  });
  await restic(repository, { purpose: "check the repository", words: ["check", "--quiet"], signal });
  const text = `${removed.length} sets are removed and ${kept} kept; the storage frees their space once ${retentionDays} days have passed`;
  return { text, exitCode: 0 };
}

/** What the next prune removes. */
export async function planPrune(
  repository: Repository,
  { signal }: Pick<BackupWorld, "signal">,
): Promise<{
  readonly kept: number;
  readonly removed: readonly OldSet[];
  readonly all: readonly KeptSet[];
}> {
  const words = ["forget", ...policy(repository.prefix), "--dry-run", "--no-lock", "--json"];
  const text = await restic(repository, { purpose: "find old sets", words, signal });
  const groups = forgotten.parse(JSON.parse(text));
  const kept = groups.flatMap(({ keep }) => keep ?? []);
  const going = groups.flatMap(({ remove }) => remove ?? []);
  const removed = going.filter((set) => !isKeptForRelease(set, Date.now()));
  return {
    removed,
    kept: kept.length + going.length - removed.length,
    all: [...kept, ...going],
  };
}

/** One with a time of long ago goes to the storage today, and would be kept in the place of a true one of that day. */
function refuseBackdated(sets: readonly KeptSet[], storedAt: StoredAt): void {
  const odd = sets.flatMap(({ id, time }) => {
    const stored = storedAt.get(id) ?? time;
    return Date.parse(stored) - Date.parse(time) > STORED_WITHIN_MS ? [{ id, time, stored }] : [];
  });
  if (odd.length === 0) return;
  const described = odd.map(
    ({ id, time, stored }) =>
      `set ${short(id)}: expected to be stored when it was made, at ${time}, got ${stored}`,
  );
  const ids = odd.map(({ id }) => short(id)).join(" ");
  throw new UserError(
    `${described.join("\n")}\nsomebody has added this, and it would push out a true set of that day: remove it with restic forget ${ids} and the administrator's key; ` +
      "where the bucket was copied from another one, remove old sets with restic itself",
  );
}

/** One of next year would let every other one look a year older. */
function refuseTimeToCome(sets: readonly KeptSet[]): void {
  const newest = sets.toSorted((one, other) => Date.parse(other.time) - Date.parse(one.time))[0];
  if (newest === undefined || !isToCome(newest.time, Date.now())) return;
  const { id, time } = newest;
  throw new UserError(
    `set ${short(id)}: expected a time that has passed, got ${time}: the clock was wrong when it was made, and by it others would count as old; ` +
      `wait until then, or remove it with restic forget ${short(id)} and the administrator's key`,
  );
}

function policy(stack: string): string[] {
  const kept = Object.entries(KEPT).flatMap(([unit, time]) => [`--keep-within-${unit}`, time]);
  return ["--host", stack, "--group-by", "host", ...kept];
}

/** Reads the repository with the reader's key: its structure, or every byte of it. */
export async function checkSets(
  { stack, readData }: { readonly stack: string; readonly readData: boolean },
  world: BackupWorld,
): Promise<Outcome> {
  const settings = await readSettings(stack, world.pulumi);
  const place = await readPlace(settings, world.pulumi);
  const words = ["check", "--no-lock", ...(readData ? ["--read-data"] : [])];
  const { signal } = world;
  await requireUntouched(place, { stack, ...world });
  await restic({ ...repositoryOf(settings), ...place }, { purpose: "check the repository", words, signal });
  const what = readData ? "every byte of the repository was read" : "the repository's structure is whole";
  return { text: `${stack}: ${what}, no error was found`, exitCode: 0 };
}

/**
 * restic writes an object once. Another content under the same name is somebody else's, and what was there before is lost when its retention ends,
 * which may be before the next time that each byte is read.
 */
export async function requireUntouched(
  { bucket, prefix, key }: BackupPlace,
  { stack, fetch, signal }: Pick<BackupWorld, "fetch" | "signal"> & { readonly stack: string },
): Promise<void> {
  const contents = new Map<string, Set<string>>();
  let isVersioned = true;
  for await (const version of listVersions(`${prefix}/`, { ...bucket, key, fetch, signal })) {
    isVersioned &&= version.version !== "null";
    if (version.isDeleteMarker || version.object.startsWith(`${prefix}/locks/`)) continue;
    const known = contents.get(version.object) ?? new Set();
    contents.set(version.object, known.add(`${version.size} ${version.etag}`));
  }
  const at = `${bucket.address}/${bucket.bucket}/${prefix}`;
  const changed = [...contents].filter(([, known]) => known.size > 1).map(([object]) => object);
  const problems = [
    ...(changed.length === 0
      ? []
      : [
          `${at}: expected each object as restic wrote it, got ${changed.length} that somebody has written over, such as ${changed[0]}; ` +
            `npm run backups -- ${stack} --undelete brings them back`,
        ]),
    ...(isVersioned
      ? []
      : [
          `${at}: expected a bucket that keeps versions, got one that does not: whoever has the server's key can destroy every set; turn on versions and object lock`,
        ]),
  ];
  if (problems.length > 0) throw new UserError(problems.join("\n"));
}

export function repositoryOf({ environment, secrets }: Settings): Omit<Repository, "key"> {
  const password = secrets["backupPassword"] ?? "";
  return { ...placeOf(environment), image: environment.images.restic, password };
}

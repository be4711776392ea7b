/** `npm run backups -- <stack> --prune` and `--check`: what is done to the repository away from the server. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import { renderTable } from "../terminal.ts";
import { administratorKey } from "./administrator.ts";
import { renderTime, short } from "./backup.ts";
import { placeOf, readPlace } from "./read-back.ts";
import { restic, type Repository } from "./repository.ts";
import { isToCome } from "./status.ts";
import type { BackupWorld } from "./world.ts";

/** Within which time one set of each hour, day, week and month is kept. By age and never by number: sets that a stranger adds push none out. */
export const KEPT = { hourly: "2d", daily: "35d", weekly: "6m", monthly: "2y" } as const;

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
  return await prune({ ...repositoryOf(settings), key }, { ...request, retentionDays }, world);
}

/** The tag by which a set names the release that ran when it was made; the others say why it was made. */
const OF_RELEASE = /^of-release-(\d+)$/;

export function releaseIn(tags: readonly string[]): string {
  return tags.flatMap((tag) => OF_RELEASE.exec(tag)?.[1] ?? []).join(", ");
}

export function whyIn(tags: readonly string[]): string {
  return tags.filter((tag) => !OF_RELEASE.test(tag)).join(", ");
}

/** Shows which sets go, asks, and removes them with the administrator's key. */
export async function prune(
  repository: Repository,
  { stack, yes, retentionDays }: PruneRequest & { readonly retentionDays: number },
  world: Pick<BackupWorld, "signal" | "say" | "confirm">,
): Promise<Outcome> {
  const { kept, removed, newest } = await planPrune(repository, world);
  refuseTimeToCome(newest);
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
  await restic(repository, {
    purpose: "remove old sets",
    words: ["forget", ...policy(stack), "--prune", "--quiet"],
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

  /** The set from which ages count. */
  readonly newest: KeptSet | undefined;
}> {
  const words = ["forget", ...policy(repository.prefix), "--dry-run", "--no-lock", "--json"];
  const text = await restic(repository, { purpose: "find old sets", words, signal });
  const groups = forgotten.parse(JSON.parse(text));
  const kept = groups.flatMap(({ keep }) => keep ?? []);
  return {
    kept: kept.length,
    removed: groups.flatMap(({ remove }) => remove ?? []),
    newest: kept.toSorted((one, other) => Date.parse(other.time) - Date.parse(one.time))[0],
  };
}

/** One of next year would let every other one look a year older. */
function refuseTimeToCome(newest: KeptSet | undefined): void {
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
  await restic({ ...repositoryOf(settings), ...place }, { purpose: "check the repository", words, signal });
  const what = readData ? "every byte of the repository was read" : "the repository's structure is whole";
  return { text: `${stack}: ${what}, no error was found`, exitCode: 0 };
}

export function repositoryOf({ environment, secrets }: Settings): Omit<Repository, "key"> {
  const password = secrets["backupPassword"] ?? "";
  return { ...placeOf(environment), image: environment.images.restic, password };
}

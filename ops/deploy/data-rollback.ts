/**
 * An earlier release together with its data. A release that may change the format of data has a set of backups that was made before it; the
 * server brings that data back, starts each program that reads or writes it in the version of then, and only then the engine sets up the rest.
 */
import { UserError } from "../../common/user-error.ts";
import { swarmName, type ServiceName } from "../../common/services.ts";
import type { Release } from "../../common/release.ts";
import { renderCounts, short } from "../backup/backup.ts";
import { callProgram, listedSets, restorePlan, restored, type RestorePlan } from "../backup/program.ts";
import { releasesAfter } from "../backup/prune.ts";
import { placeOf } from "../backup/read-back.ts";
import { renderOverwritten } from "../backup/restore.ts";
import type { Server } from "../server/connection.ts";
import type { Session } from "./session.ts";
import { following } from "../hold/following.ts";
import { silenced } from "./silenced.ts";

/** Certificates are no release's, and records are never taken back. */
const PARTS = ["qdrant", "n8n"];

/** What reads or writes that data: none of them runs in a version of another release while it changes. */
const TOGETHER: readonly ServiceName[] = ["n8n", "n8nRunners", "qdrant", "vectorStore", "postgres"];

const LIST_SECONDS = 600;
const RESTORE_SECONDS = 6 * 3600;

export interface DataRollback {
  readonly target: Release;
  readonly plan: RestorePlan;
}

interface Wanted {
  readonly target: Release;

  /** Number of the release that goes. */
  readonly from: number;

  /** Id of the set; undefined: the newest that was made before a release since the target and that the target's versions read. */
  readonly set?: string | undefined;
}

/**
 * Finds the set, and what going back to it would overwrite.
 *
 * @throws UserError where there is no such set, or the target's versions, its encryption key or its environment do not fit
 */
export async function planDataRollback(session: Session, wanted: Wanted): Promise<DataRollback> {
  const { stack, server, environment } = session;
  const { target } = wanted;
  placeOf(environment);
  if (server === undefined) throw new UserError(`${stack}: there is no server, so there is no data`);
  const ids = wanted.set === undefined ? await findSets(session, { ...wanted, server }) : [wanted.set];
  let refusal: UserError | undefined;
  for (const id of ids) {
    try {
      const plan = await callProgram(server, {
        purpose: `look what going back to release ${target.number} would overwrite`,
        words: ["plan", ...wordsOf({ id, target })],
        answer: restorePlan,
        timeoutSeconds: LIST_SECONDS,
        say: session.operator.say,
      });
      return { target, plan };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // An earlier set may be of a version that fits.
      refusal ??= error;
    }
  }
  throw refusal ?? noSet(stack, wanted);
}

async function findSets(
  { operator }: Session,
  { target, from, server }: Wanted & { readonly server: Server },
): Promise<string[]> {
  const sets = await callProgram(server, {
    purpose: "list the sets of backups",
    words: ["list"],
    answer: listedSets,
    timeoutSeconds: LIST_SECONDS,
    say: operator.say,
  });
  return sets
    .flatMap((set) => releasesAfter(set.tags).map((release) => ({ ...set, release })))
    .filter(({ release }) => release > target.number && (release <= from || from <= target.number))
    .sort((a, b) => b.release - a.release || b.time.localeCompare(a.time))
    .map(({ id }) => id);
}

function noSet(stack: string, { target, from }: Wanted): UserError {
  return new UserError(
    `${stack}: expected a set of backups that was made before release ${Math.max(from, target.number + 1)}, got none; ` +
      "one is made before a release that changes n8n, Qdrant or PostgreSQL, and goes with the other old sets.\n" +
      `Go back without data with npm run rollback -- ${stack} --to ${target.number} --reason "…", or bring the data of another set back with ` +
      `npm run restore -- ${stack} --set <id>; npm run backups -- ${stack} lists them`,
  );
}

function wordsOf({ id, target }: { readonly id: string; readonly target: Release }): string[] {
  return [
    ...["--set", id],
    ...PARTS.flatMap((part) => ["--only", part]),
    ...["--images", JSON.stringify(imagesOf(target))],
  ];
}

/** Service on the server → image of the release. */
function imagesOf({ images }: Release): Record<string, string> {
  return Object.fromEntries(
    TOGETHER.flatMap((name) => (images[name] === undefined ? [] : [[swarmName(name), images[name]]])),
  );
}

/** The command that goes on with a rollback that was interrupted, and the one that a failed release names. */
export function rollbackCommand(stack: string, reason = "…"): string {
  return `npm run rollback -- ${stack} --with-data --reason ${JSON.stringify(reason)}`;
}

export function renderDataRollback({ plan }: DataRollback, stack: string): string {
  if (plan.done === true)
    return `the data of set ${short(plan.id)} is back already, and what reads it runs in the versions of then`;
  return [
    renderOverwritten(plan),
    "certificates and records stay as they are",
    `what is replaced is kept until the next deployment; npm run restore -- ${stack} --undo brings it back, with the versions that wrote it`,
  ].join("\n");
}

/**
 * Brings the data back, and what reads it in the versions of the target; gives the seconds. What is interrupted stands still until the same command goes on.
 *
 * @throws UserError when it fails; then nothing, or all that it concerns, has stopped
 */
export async function restoreData(
  session: Session,
  { target, plan }: DataRollback,
): Promise<{ readonly data: number }> {
  const { server, stack, operator } = session;
  if (plan.done === true || server === undefined) return { data: 0 };
  const result = await silenced(session, `data of release ${target.number}`, () =>
    following(session.hold, operator.say, (say) =>
      callProgram(server, {
        purpose: `bring the data of set ${short(plan.id)} back`,
        words: ["restore", ...wordsOf({ id: plan.id, target }), "--command", rollbackCommand(stack)],
        answer: restored,
        timeoutSeconds: RESTORE_SECONDS,
        say,
      }),
    ),
  );
  const counts = Object.entries(result.counts).map(([name, known]) => `${name} ${renderCounts(known)}`);
  operator.say(
    `the data of set ${short(plan.id)} is back: ${counts.join("; ")}; what writes to it stood still for ${result.stoppedSeconds} s`,
  );
  await session.audit({
    action: "restore",
    reason: "",
    detail: `jeu ${short(plan.id)} avec la version ${target.number} : ${counts.join(" ; ")} ; arrêt de ${result.stoppedSeconds} s`,
  });
  return { data: result.took };
}

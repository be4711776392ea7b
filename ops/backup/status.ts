/** What the server has recorded of its backups, and whether that is enough for a deployment. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import { backupBucket } from "../../stacks/backup-schema.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Server } from "../server/connection.ts";
import { drillResult, PROGRAM } from "./program.ts";

const FOLDER = "/var/lib/technicia/backup";

// Both files are replaced as a whole; the journal is there while a restore is under way, or was interrupted.
const READ = `
[ -x "$PROGRAM" ] || exit 0
jq --compact-output --null-input --slurpfile status <(cat "$FOLDER/status.json" 2>/dev/null || echo '{}') \\
  --slurpfile journal <(cat "$FOLDER/restore.json" 2>/dev/null || echo '{}') \\
  --arg setUpAt "$(date --utc +%FT%TZ --reference "$PASSWORD")" '$status[0] + { restoring: $journal[0].set, finishedBy: $journal[0].command, $setUpAt }'`;

const backupStatus = z.looseObject({
  last: z.looseObject({ id: z.string(), time: z.string() }).optional(),
  drills: z.array(drillResult).default([]),
  failure: z.looseObject({ command: z.string(), at: z.string(), text: z.string() }).optional(),

  /** What restores have replaced and can be taken back to. */
  kept: z.array(z.looseObject({ set: z.string() })).default([]),

  /** When the program got its password. */
  setUpAt: z.string(),

  /** Set of a restore that has begun and not ended. */
  restoring: z.string().nullish(),

  /** The command that finishes it, where it is another one than a restore. */
  finishedBy: z.string().nullish(),
});

export type BackupStatus = z.output<typeof backupStatus>;

/** Whether the settings name a place for backups. */
export function isBackedUp({ name, backup }: Pick<Environment, "name" | "backup">): boolean {
  return backupBucket(name, backup) !== undefined;
}

/** Undefined where the program has never run; it has no part in what is deployed then. */
export async function readBackupStatus(server: Pick<Server, "run">): Promise<BackupStatus | undefined> {
  const { stdout } = await server.run({
    purpose: "read the status of the backups",
    script: READ,
    variables: {
      ...{ FOLDER, PROGRAM },
      PASSWORD: "/etc/technicia/backup/password",
    },
  });
  return stdout.trim() === "" ? undefined : backupStatus.parse(JSON.parse(stdout));
}

const HOUR_MS = 3_600_000;

/** What is wrong with a stack's backups; the worst comes first, and hides the rest. */
export type BackupProblem =
  | { readonly kind: "restoring"; readonly set: string; readonly finishedBy: string }
  | { readonly kind: "wrong-clock"; readonly what: "set" | "rehearsal"; readonly at: string }
  | { readonly kind: "no-set"; readonly failure: string | undefined }
  | { readonly kind: "old-set"; readonly hours: number; readonly failure: string | undefined }
  | { readonly kind: "never-rehearsed" }
  | { readonly kind: "rehearsal-not-run"; readonly failure: string }
  | { readonly kind: "failed-rehearsal"; readonly findings: readonly string[] }
  | { readonly kind: "old-rehearsal"; readonly days: number };

interface When {
  readonly environment: Pick<Environment, "name" | "backup">;
  readonly now: number;
}

/** Undefined where the newest set is young enough, and the last rehearsal good and recent. */
export function findProblem(
  status: BackupStatus,
  { environment: { name, backup }, now }: When,
): BackupProblem | undefined {
  const { last, drills, failure, restoring } = status;
  if (restoring)
    return { kind: "restoring", set: restoring.slice(0, 8), finishedBy: finishedBy(status, name) };
  const isNew =
    failure?.command === "make" && (last === undefined || Date.parse(failure.at) > Date.parse(last.time));
  const why = isNew ? failure.text : undefined;
  if (last === undefined) return { kind: "no-set", failure: why };
  if (isToCome(last.time, now)) return { kind: "wrong-clock", what: "set", at: last.time };
  const hours = hoursSince(last.time, now);
  if (hours > backup.maxAgeHours) return { kind: "old-set", hours, failure: why };
  const drill = drills.at(-1);
  const isMissed =
    failure?.command === "drill" && (drill === undefined || Date.parse(failure.at) > Date.parse(drill.at));
  if (drill === undefined)
    return isMissed ? { kind: "rehearsal-not-run", failure: failure.text } : { kind: "never-rehearsed" };
  if (!drill.passed) return { kind: "failed-rehearsal", findings: drill.findings };
  if (isToCome(drill.at, now)) return { kind: "wrong-clock", what: "rehearsal", at: drill.at };
  const days = hoursSince(drill.at, now) / 24;
  // One rehearsal may be missed, as when the memory was not free.
  if (days > 2 * backup.drillDays) return { kind: "old-rehearsal", days: Math.floor(days) };
  return isMissed ? { kind: "rehearsal-not-run", failure: failure.text } : undefined;
}

/** Further than two clocks may differ; such a time would count as recent until it has passed. */
export function isToCome(at: string, now: number): boolean {
  return hoursSince(at, now) < -0.25;
}

function finishedBy({ restoring, finishedBy: command }: BackupStatus, stack: string): string {
  return command ?? `npm run restore -- ${stack} --set ${(restoring ?? "").slice(0, 8)}`;
}

/** Fails while a restore is under way or was interrupted: whatever starts the services then starts them on half of each. */
export async function refuseHalfRestored(server: Pick<Server, "run">, stack: string): Promise<void> {
  const status = await readBackupStatus(server);
  if (!status?.restoring) return;
  throw new UserError(
    `${stack}: expected no restore under way, got one of set ${status.restoring.slice(0, 8)} that has not ended; finish it with ${finishedBy(status, stack)}`,
  );
}

export function hoursSince(at: string, now: number): number {
  return (now - Date.parse(at)) / HOUR_MS;
}

export interface Judgement {
  readonly outcome: "ok" | "failed" | "not-checked";
  /** In French. */
  readonly detail: string;
}

/** The same for a check: whether that is enough for a deployment. */
export function judgeBackups(status: BackupStatus, when: When): Judgement {
  const { name, backup } = when.environment;
  const problem = findProblem(status, when);
  const failed = (detail: string): Judgement => ({ outcome: "failed", detail });
  const made =
    status.last === undefined
      ? ""
      : `jeu ${status.last.id.slice(0, 8)} de ${hoursSince(status.last.time, when.now).toFixed(1)} h`;
  const because = (failure: string | undefined) =>
    failure === undefined ? "" : ` ; dernier échec : ${failure}`;
  switch (problem?.kind) {
    case "restoring":
      return failed(
        `une restauration du jeu ${problem.set} est en cours ou a été interrompue : ${problem.finishedBy} la termine`,
      );
    case "wrong-clock": {
      const isSet = problem.what === "set";
      return failed(
        `${isSet ? "le dernier jeu" : "le dernier essai de restauration"} porte une date à venir (${problem.at}) : une horloge est ou était fausse ; ` +
          `timedatectl sur le serveur, puis npm run ${isSet ? "backup" : "drill"} -- ${name}`,
      );
    }
    case "no-set":
      return failed(`aucun jeu : npm run backup -- ${name} en fait un${because(problem.failure)}`);
    case "old-set":
      return failed(
        `le dernier jeu a ${problem.hours.toFixed(1)} h, plus que ${backup.maxAgeHours} h : npm run backup -- ${name}${because(problem.failure)}`,
      );
    case "never-rehearsed":
      return {
        outcome: "not-checked",
        detail: `${made}, jamais restauré à l'essai : npm run drill -- ${name}`,
      };
    case "rehearsal-not-run":
      return {
        outcome: "not-checked",
        detail: `${made}, mais le dernier essai de restauration n'a pas pu se faire : ${problem.failure} ; npm run drill -- ${name}`,
      };
    case "failed-rehearsal":
      return failed(`${made}, mais l'essai de restauration a échoué : ${problem.findings.join(" ; ")}`);
    case "old-rehearsal":
      return failed(
        `${made}, dernier essai de restauration il y a ${problem.days} jours : npm run drill -- ${name}`,
      );
    case undefined: {
      const days = Math.floor(hoursSince(status.drills.at(-1)?.at ?? "", when.now) / 24);
      return { outcome: "ok", detail: `${made}, essai de restauration réussi il y a ${days} jours` };
    }
  }
}

/** What the server has recorded of its backups, and whether that is enough for a deployment. */
import { z } from "zod";

import { backupBucket } from "../../stacks/backup-schema.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Server } from "../server/connection.ts";
import { drillResult } from "./program.ts";

const FOLDER = "/var/lib/technicia/backup";

// Both files are replaced as a whole; the journal is there while a restore is under way, or was interrupted.
const READ = `
[ -x "$PROGRAM" ] || exit 0
jq --compact-output --null-input --slurpfile status <(cat "$FOLDER/status.json" 2>/dev/null || echo '{}') \
  --slurpfile journal <(cat "$FOLDER/restore.json" 2>/dev/null || echo '{}') '$status[0] + { restoring: $journal[0].set }'`;

const backupStatus = z.looseObject({
  last: z.looseObject({ id: z.string(), time: z.string() }).optional(),
  drills: z.array(drillResult).default([]),
  failure: z.looseObject({ command: z.string(), at: z.string(), text: z.string() }).optional(),

  /** What restores have replaced and can be taken back to. */
  kept: z.array(z.looseObject({ set: z.string() })).default([]),

  /** Set of a restore that has begun and not ended. */
  restoring: z.string().nullish(),
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
    variables: { FOLDER, PROGRAM: "/opt/technicia/backup/main.py" },
  });
  return stdout.trim() === "" ? undefined : backupStatus.parse(JSON.parse(stdout));
}

export interface Judgement {
  readonly outcome: "ok" | "failed" | "not-checked";
  /** In French. */
  readonly detail: string;
}

const HOUR_MS = 3_600_000;

/** Whether the newest set is young enough, and the last rehearsal good and recent. */
export function judgeBackups(
  { last, drills, failure, restoring }: BackupStatus,
  { environment, now }: { readonly environment: Pick<Environment, "name" | "backup">; readonly now: number },
): Judgement {
  const { name, backup } = environment;
  if (restoring) {
    const id = restoring.slice(0, 8);
    return {
      outcome: "failed",
      detail: `une restauration du jeu ${id} est en cours ou a été interrompue : npm run restore -- ${name} --set ${id} la termine`,
    };
  }
  const hoursOf = (at: string) => (now - Date.parse(at)) / HOUR_MS;
  const isNew =
    failure !== undefined && (last === undefined || Date.parse(failure.at) > Date.parse(last.time));
  const why = isNew ? ` ; dernier échec : ${failure.text}` : "";
  if (last === undefined)
    return { outcome: "failed", detail: `aucun jeu : npm run backup -- ${name} en fait un${why}` };
  const age = hoursOf(last.time);
  if (age > backup.maxAgeHours) {
    const detail = `le dernier jeu a ${age.toFixed(1)} h, plus que ${backup.maxAgeHours} h : npm run backup -- ${name}${why}`;
    return { outcome: "failed", detail };
  }
  const made = `jeu ${last.id.slice(0, 8)} de ${age.toFixed(1)} h`;
  const drill = drills.at(-1);
  if (drill === undefined)
    return {
      outcome: "not-checked",
      detail: `${made}, jamais restauré à l'essai : npm run drill -- ${name}`,
    };
  if (!drill.passed)
    return {
      outcome: "failed",
      detail: `${made}, mais l'essai de restauration a échoué : ${drill.findings.join(" ; ")}`,
    };
  const days = hoursOf(drill.at) / 24;
  // One rehearsal may be missed, as when the memory was not free.
  if (days > 2 * backup.drillDays)
    return {
      outcome: "failed",
      detail: `${made}, dernier essai de restauration il y a ${Math.floor(days)} jours : npm run drill -- ${name}`,
    };
  return { outcome: "ok", detail: `${made}, essai de restauration réussi il y a ${Math.floor(days)} jours` };
}

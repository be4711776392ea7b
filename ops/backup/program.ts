/** The program on the server that makes, restores and rehearses the sets of backups, and what it answers. */
import { z } from "zod";

import type { Server } from "../server/connection.ts";
import { callOnServer, type Program, type ProgramCall } from "../server/program.ts";

const counts = z.record(z.string(), z.number());

const item = z.looseObject({ at: z.string(), took: z.number(), size: z.number(), counts });

const manifest = z.looseObject({
  stack: z.string(),
  startedAt: z.string(),
  release: z.looseObject({ number: z.number() }).nullable(),
  items: z.record(z.string(), item),
  indexedSince: counts,
});

export const madeSet = z.looseObject({
  id: z.string(),
  time: z.string(),
  repository: z.string(),
  sent: z.number(),
  took: z.number(),
  warnings: z.array(z.string()),
  manifest,
});

export type MadeSet = z.output<typeof madeSet>;

export const drillResult = z.looseObject({
  set: z.string(),
  at: z.string(),
  took: z.number(),
  passed: z.boolean(),
  findings: z.array(z.string()),
  counts: z.record(z.string(), counts),
});

export type DrillResult = z.output<typeof drillResult>;

const listedSet = z.looseObject({
  id: z.string(),
  time: z.string(),
  tags: z.array(z.string()),
  size: z.number().nullable(),
  sent: z.number().nullable(),
  drill: drillResult.nullable(),
});

export const listedSets = z.array(listedSet);

export type ListedSet = z.output<typeof listedSet>;

/** `goes`: whether the next prune removes it; `stored`: bytes that all of them take together. */
export const overview = z.looseObject({
  sets: z.array(listedSet.extend({ goes: z.boolean() })),
  stored: z.number(),
});

export type Overview = z.output<typeof overview>;

export const restorePlan = z.looseObject({
  /** Whether it was the last restore, and the versions that it was to bring still run. */
  done: z.boolean().optional(),
  id: z.string(),
  time: z.string(),
  minutesLost: z.number(),
  release: z.looseObject({ number: z.number() }).nullable(),
  indexedSince: counts,
  items: z.record(z.string(), z.looseObject({ at: z.string(), now: counts, then: counts })),
});

export type RestorePlan = z.output<typeof restorePlan>;

export const restored = z.looseObject({
  set: z.string(),
  only: z.array(z.string()),
  counts: z.record(z.string(), counts),
  stoppedSeconds: z.number(),
  took: z.number(),
});

export type Restored = z.output<typeof restored>;

/** The parts of a set that can be restored alone. */
export const parts = ["n8n", "qdrant", "documents", "certificates", "records"] as const;

export type Part = (typeof parts)[number];

export const PROGRAM = "/opt/technicia/backup/main.py";

const BACKUP: Program = {
  path: PROGRAM,
  missing: "no backups are set up on this server",
  // A unit of its own: it goes on when the connection breaks, has the lowest priority, and there is only one at a time.
  start: `
# A command that lost its connection has left it at work.
while [ "$(systemctl show --property ActiveState --value technicia-backup-command.service 2>/dev/null)" = active ]; do sleep 2; done
exec systemd-run --quiet --wait --pipe --collect --unit technicia-backup-command --property Nice=19 \
  --property IOSchedulingClass=idle --property CPUWeight=1 -- "$program" "\${words[@]}"`,
};

/** @throws UserError with what the program says when it fails */
export function callProgram<T>(server: Pick<Server, "name" | "run">, call: ProgramCall<T>): Promise<T> {
  return callOnServer(server, BACKUP, call);
}

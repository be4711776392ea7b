/** The program on the server that makes, restores and rehearses the sets of backups, and what it answers. */
import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";

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

// A unit of its own: it goes on when the connection breaks, has the lowest priority, and there is only one at a time.
const RUN = `
program=/opt/technicia/backup/main.py
if [ ! -x "$program" ]; then
  echo "no backups are set up on this server" >&2
  exit 1
fi
mapfile -t words <<<"$WORDS"
# A command that lost its connection has left it at work.
while [ "$(systemctl show --property ActiveState --value technicia-backup-command.service 2>/dev/null)" = active ]; do sleep 2; done
exec systemd-run --quiet --wait --pipe --collect --unit technicia-backup-command --property Nice=19 \
  --property IOSchedulingClass=idle --property CPUWeight=1 -- "$program" "\${words[@]}"`;

export interface ProgramCall<T> {
  /** Follows "could not": `make a set`. */
  readonly purpose: string;
  readonly words: readonly string[];
  readonly answer: z.ZodType<T>;
  readonly timeoutSeconds: number;

  /** Progress. */
  readonly say: (line: string) => void;
}

/** @throws UserError with what the program says when it fails */
export async function callProgram<T>(server: Pick<Server, "name" | "run">, call: ProgramCall<T>): Promise<T> {
  const { purpose, words, answer, timeoutSeconds, say } = call;
  const { stdout } = await server.run({
    purpose,
    script: RUN,
    variables: { WORDS: words.join("\n") },
    timeoutSeconds,
    onLine: (line) => {
      if (!/^[[{]/.test(line)) say(line);
    },
  });
  const read = answer.safeParse(parseJson(stdout));
  if (read.success) return read.data;
  const keys = [...new Set(read.error.issues.map(({ path }) => path.join(".") || "the whole"))];
  throw new UserError(
    `${server.name}: could not ${purpose}: expected the answer of this version of the program, got one with problems in ${keys.join(", ")}; run pulumi up first`,
  );
}

/** Visitors at a steady rate: as with people, how many ask does not depend on how fast they are answered. */
import { readFile } from "node:fs/promises";

import { MANUAL, MANUAL_QUESTION } from "../documents/hydraulic-purge.ts";
import { type Entry, post, type Posted, questionOf, uploadOf } from "../question.ts";
import { measure, type Measure } from "./measure.ts";
import { answers, EVERYTHING, type Request, summarise } from "./traffic.ts";

/** `health`: everything behind the gateway, and nothing of n8n. */
export type Kind = "health" | "question" | "upload";

/** One request of a visitor. */
export interface Visit extends Request {
  readonly kind: Kind;

  /** Why it failed; undefined where it was answered as expected. */
  readonly failure: string | undefined;
}

/** Asks once; gives why that failed. */
export type Visitors = Readonly<Record<Kind, () => Promise<string | undefined>>>;

/** Of twenty visitors ten ask n8n, of whom one uploads: each upload is read, indexed and kept. */
export const MIX: readonly Kind[] = Array.from({ length: 20 }, (_, at) =>
  at % 2 === 0 ? "health" : at === 1 ? "upload" : "question",
);

/**
 * Together, half of it to n8n. Two cores that carry a whole rehearsal besides answer no more: at 40 per second almost a thousand requests were in
 * flight before anything changed.
 */
export const PER_SECOND = 12;

/** Title of what they upload. */
const UPLOADED = "banc.pdf";

/** Bash for the server: deletes what they have uploaded. */
export const DELETE_UPLOADED = `
program=/opt/technicia/documents/main.py
for id in $("$program" list | jq --raw-output '.[] | select(.title == "${UPLOADED}") | .id'); do
  "$program" delete "$id" >/dev/null
done`;

export async function visitorsOf(entry: Entry): Promise<Visitors> {
  const manual = await readFile(MANUAL);
  return {
    health: async () => ((await answers(EVERYTHING)) ? undefined : "/healthz: expected 200"),
    question: () => failureOf(entry, questionOf(MANUAL_QUESTION.question)),
    upload: async () => failureOf(entry, await uploadOf(UPLOADED, manual)),
  };
}

async function failureOf(entry: Entry, posted: Posted): Promise<string | undefined> {
  try {
    const { status, text } = await post(entry, posted);
    return status === 200 ? undefined : `${posted.path}: expected 200, got ${status} ${text.slice(0, 200)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

export interface Load {
  /** Lets nobody come any more, and waits for those who wait for an answer. */
  stop(): Promise<readonly Visit[]>;
}

const LOOK_MS = 10;

/** Has visitors come at that rate, of the kinds in turn, until stopped. */
export function startLoad(
  visitors: Visitors,
  {
    perSecond = PER_SECOND,
    kinds = MIX,
  }: { readonly perSecond?: number; readonly kinds?: readonly Kind[] } = {},
): Load {
  const visits: Visit[] = [];
  const open = new Set<Promise<void>>();
  const began = performance.now();
  let come = 0;
  const visit = async (kind: Kind) => {
    const [at, asked] = [Date.now(), performance.now()];
    const failure = await visitors[kind]();
    visits.push({
      ...{ kind, at, failure, milliseconds: performance.now() - asked },
      isAnswered: failure === undefined,
    });
  };
  const timer = setInterval(() => {
    // A late timer lets come at once whom it has kept waiting.
    for (; come < ((performance.now() - began) / 1000) * perSecond; come++) {
      const one = visit(kinds[come % kinds.length] ?? "health").finally(() => open.delete(one));
      open.add(one);
    }
  }, LOOK_MS);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      return visits;
    },
  };
}

/** Seconds of the longest request to n8n that was answered. */
export function longestOf(visits: readonly Visit[]): number {
  const asked = visits.filter(({ kind, isAnswered }) => kind !== "health" && isAnswered);
  return Math.max(0, ...asked.map(({ milliseconds }) => milliseconds)) / 1000;
}

/** A measure under a load, and its visits. */
export async function measureUnderLoad(
  name: string,
  step: () => Promise<unknown>,
  begin: () => Load,
): Promise<{ readonly measured: Measure; readonly visits: readonly Visit[] }> {
  const load = begin();
  let visits: readonly Visit[] = [];
  const measured = await measure(name, { step }).finally(async () => {
    visits = await load.stop();
  });
  const { requests, failed } = summarise(visits);
  return { measured: { ...measured, failed, ...(requests !== undefined && { requests }) }, visits };
}

import type { Drift } from "./drifts.ts";

const SERVICE = "technicia-vector-store";

/** Batches for `it.each`, each after what it is about. */
export function namedBatches(drifts: readonly Drift[]): (readonly [string, Drift[]])[] {
  return batchesOf(drifts).map((batch) => [batch.map(({ name }) => name).join(", and where "), batch]);
}

/** Puts drifts of different things together, so that one check and one repair serve several; those that touch one thing or disturb others stay apart. */
function batchesOf(drifts: readonly Drift[], atMost = 10): Drift[][] {
  const isAlone = ({ alone }: Drift) => alone === true;
  const shared: { readonly drifts: Drift[]; readonly subjects: Set<string> }[] = [];
  // Those that exclude each other first: the rest fills up their batches.
  const isCommon = (drift: Drift) => Number(subjectsOf(drift).includes(SERVICE));
  const together = drifts.filter((drift) => !isAlone(drift));
  for (const drift of together.toSorted((a, b) => isCommon(b) - isCommon(a))) {
    const subjects = subjectsOf(drift);
    const hasRoom = (batch: (typeof shared)[number]) =>
      batch.drifts.length < atMost && subjects.every((subject) => !batch.subjects.has(subject));
    let batch = shared.find(hasRoom);
    if (batch === undefined) shared.push((batch = { drifts: [], subjects: new Set() }));
    batch.drifts.push(drift);
    for (const subject of subjects) batch.subjects.add(subject);
  }
  return [...shared.map((batch) => batch.drifts), ...drifts.filter(isAlone).map((drift) => [drift])];
}

/** Changes the tunnel, or goes through it. */
const THROUGH_TUNNEL = /technicia-tunnel$|127\.0\.0\.1:(6333|5678)/;

/** A program of ours, which one drift uses and another one removes. */
const OUR_PROGRAM = /\/opt\/technicia\/bin\/[\w-]+/g;

/**
 * What a drift touches: resources, the service that most commands change, the tunnel, and programs of ours. A stray thing disturbs no other
 * stray thing.
 */
function subjectsOf({ tamper: { command }, expect }: Drift): string[] {
  return [
    ...expect.map(({ source }) => (/^\^\w+ extra-/.test(source) ? source : source.split(":")[0]!)),
    ...(command.includes(SERVICE) ? [SERVICE] : []),
    ...(THROUGH_TUNNEL.test(command) ? ["tunnel"] : []),
    ...(command.match(OUR_PROGRAM) ?? []),
  ];
}

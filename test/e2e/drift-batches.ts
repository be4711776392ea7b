import type { Drift } from "./drifts.ts";

const SERVICE = "technicia-vector-store";

/** Puts drifts of different things together, so that one check and one repair serve several; those that touch one thing or disturb others stay apart. */
export function batchesOf(drifts: readonly Drift[], atMost = 10): Drift[][] {
  const batches: { readonly drifts: Drift[]; readonly subjects: Set<string>; readonly isOpen: boolean }[] =
    [];
  // Those that exclude each other first: the rest fills up their batches.
  const isCommon = (drift: Drift) => subjectsOf(drift).includes(SERVICE);
  for (const drift of drifts.toSorted((a, b) => Number(isCommon(b)) - Number(isCommon(a)))) {
    const subjects = subjectsOf(drift);
    const place =
      drift.alone === true
        ? undefined
        : batches.find(
            (batch) =>
              batch.isOpen &&
              batch.drifts.length < atMost &&
              subjects.every((subject) => !batch.subjects.has(subject)),
          );
    if (place === undefined) {
      batches.push({ drifts: [drift], subjects: new Set(subjects), isOpen: drift.alone !== true });
    } else {
      place.drifts.push(drift);
      for (const subject of subjects) place.subjects.add(subject);
    }
  }
  return batches.map((batch) => batch.drifts);
}

/** What a drift touches: resources, and the service that most commands change. A stray thing disturbs no other stray thing. */
function subjectsOf({ tamper, expect }: Drift): string[] {
  const found = expect.map(({ source }) => (/^\^\w+ extra-/.test(source) ? source : source.split(":")[0]!));
  return tamper.command.includes(SERVICE) ? [...found, SERVICE] : found;
}

export const namesOf = (drifts: readonly Drift[]): string =>
  drifts.map(({ name }) => name).join(", and where ");

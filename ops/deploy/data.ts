/**
 * What a release does to stored data: a new version of n8n, Qdrant or PostgreSQL may change the format of its data when it starts, and an
 * older version then cannot read it or damages it. So such a release is not rolled back by itself.
 *
 * Where backups are set up, a set is made and read back before it; without one the release does not begin.
 */
import { compareVersions, validate } from "compare-versions";

import { swarmName, type ServiceName } from "../../common/services.ts";
import { isExact, readImageReference, versionOf } from "../../common/image-reference.ts";
import type { Session } from "./session.ts";

const PROGRAMS = { n8n: "n8n", qdrant: "Qdrant", postgres: "PostgreSQL" } as const satisfies Partial<
  Record<ServiceName, string>
>;

type Program = keyof typeof PROGRAMS;

type Images = Readonly<Record<string, string>>;

/** A program that stores data goes to another version, or to one that is not known to be the same. */
export interface DataStep {
  readonly service: Program;
  readonly from: string;
  readonly to: string;
}

/** Where the images of both name the program. */
export function dataSteps(before: Images, after: Images): DataStep[] {
  return (Object.keys(PROGRAMS) as Program[]).flatMap((service) => {
    const [from, to] = [before[service], after[service]];
    if (from === undefined || to === undefined || isSameVersion(from, to)) return [];
    return [{ service, from: versionOf(from), to: versionOf(to) }];
  });
}

/** Those after which a program meets data that is, or may be, of a newer version. */
export function stepsBack(steps: readonly DataStep[]): DataStep[] {
  return steps.filter(
    ({ from, to }) => !(isVersion(from) && isVersion(to) && compareVersions(to, from) >= 0),
  );
}

/** Those whose service an update that ended half way had begun to change. */
export function stepsBegun(steps: readonly DataStep[], changed: readonly string[]): DataStep[] {
  return steps.filter(
    ({ service }) => changed.includes("") || changed.includes(`${swarmName(service)}-service`),
  );
}

/** `n8n 2.40.1 → 2.41.3`. */
export function renderDataSteps(steps: readonly DataStep[]): string {
  return steps.map(({ service, from, to }) => `${PROGRAMS[service]} ${from} → ${to}`).join(", ");
}

/** What a person must know who lets these programs go back while their data stays. */
export function dataStays(steps: readonly DataStep[]): string[] {
  return steps.map(
    ({ service, from, to }) =>
      `${PROGRAMS[service]} goes back from ${from} to ${to}, but its data stays in the format of ${from}: ` +
      "the older version may not start, or may damage what it does not understand",
  );
}

/** Before the question whether to apply the plan. */
export function warnOfDataSteps(
  steps: readonly DataStep[],
  { isBackedUp }: { readonly isBackedUp: boolean },
): string[] {
  if (steps.length === 0) return [];
  const copy = isBackedUp ? "a set of backups is made first" : "of which there is no copy";
  return [
    `${renderDataSteps(steps)}: the new version may change the format of the data, ${copy}; if this release fails, it is not rolled back by itself`,
  ];
}

/**
 * Runs under the lock, once the plan was agreed to and before the engine starts. Gives the id of the set that has the data of before;
 * undefined where no backups are set up, or no program with data changes.
 */
export async function prepareData(
  session: Session,
  { steps, release }: { readonly steps: readonly DataStep[]; readonly release: number | undefined },
): Promise<string | undefined> {
  const { server, operator, context } = session;
  if (steps.length === 0) return undefined;
  const set =
    server && (await operator.takeSet({ ...context, server, tag: `release-${release ?? "first"}` }));
  const copy = set === undefined ? "sans copie" : `jeu ${set.slice(0, 8)} fait avant`;
  await session.audit({
    action: "deploy",
    reason: "",
    detail: `${renderDataSteps(steps)} : les données peuvent changer de format, ${copy} ; pas de retour automatique`,
  });
  return set;
}

/** Tags such as `17` or `latest` do not say which version they are: then only the same digest is the same version. */
function isSameVersion(one: string, other: string): boolean {
  const digests = [one, other].map((image) => readImageReference(image)?.digest);
  if (digests[0] !== undefined && digests[0] === digests[1]) return true;
  const areExact = [one, other].every((image) => isExact(image.replace(/@.*$/, "")));
  return areExact ? versionOf(one) === versionOf(other) : one === other;
}

function isVersion(text: string): boolean {
  return validate(text) && /\d/.test(text);
}

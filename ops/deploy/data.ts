/**
 * What a release does to stored data: a new version of n8n, Qdrant or PostgreSQL may change the format of its data when it starts, and an
 * older version then cannot read it or damages it. So such a release is never rolled back without its data.
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

/** n8n goes to the other kind of database. */
const DATABASE = "database";

type Images = Readonly<Record<string, string>>;

/** A program that stores data goes to another version, or to one that is not known to be the same; or n8n to another kind of database. */
export interface DataStep {
  readonly service: Program | typeof DATABASE;
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

/** Of images that run: PostgreSQL's is among them where n8n's data is in PostgreSQL. */
export function databaseSteps(before: Images, after: Images): DataStep[] {
  if (before["n8n"] === undefined || after["n8n"] === undefined) return [];
  const [from, to] = [before, after].map((images) =>
    images["postgres"] === undefined ? "SQLite" : "PostgreSQL",
  );
  return from === to ? [] : [{ service: DATABASE, from: from!, to: to! }];
}

/** Whether n8n's database changes its kind, which no rollback does. */
export function changesDatabase(steps: readonly DataStep[]): boolean {
  return steps.some(({ service }) => service === DATABASE);
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
    ({ service }) =>
      changed.includes("") ||
      changed.includes(`${swarmName(service === DATABASE ? "n8n" : service)}-service`),
  );
}

/** `n8n 2.40.1 → 2.41.3`. */
export function renderDataSteps(steps: readonly DataStep[]): string {
  return steps.map(({ service, from, to }) => `${nameOf(service)} ${from} → ${to}`).join(", ");
}

function nameOf(service: DataStep["service"]): string {
  return service === DATABASE ? "n8n's database" : PROGRAMS[service];
}

/** What a person must know who lets these programs go back while their data stays. */
export function dataStays(steps: readonly DataStep[]): string[] {
  return steps.map(
    ({ service, from, to }) =>
      `${nameOf(service)} goes back from ${from} to ${to}, but its data stays in the format of ${from}: ` +
      "the older version may not start, or may damage what it does not understand",
  );
}

/** Before the question whether to apply the plan. */
export function warnOfDataSteps(
  steps: readonly DataStep[],
  { isBackedUp }: { readonly isBackedUp: boolean },
): string[] {
  if (steps.length === 0) return [];
  const returns = !isBackedUp
    ? "of which there is no copy; if this release fails, it is not rolled back by itself"
    : changesDatabase(steps)
      ? "a set of backups is made first; if this release fails, it is not rolled back by itself"
      : "a set of backups is made first; if this release fails, it is rolled back together with that data";
  return [`${renderDataSteps(steps)}: the new version may change the format of the data, ${returns}`];
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
  const copy =
    set === undefined ? "sans copie ; pas de retour automatique" : `jeu ${set.slice(0, 8)} fait avant`;
  await session.audit({
    action: "deploy",
    reason: "",
    detail: `${renderDataSteps(steps)} : les données peuvent changer de format, ${copy}`,
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

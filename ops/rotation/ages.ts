/** How old each secret is, by the records on the server: since its last rotation, or since the first release where there was none. */
import { secretNames, type SecretName } from "../../secrets/catalog.ts";
import {
  daysOf,
  isOtherName,
  rotatedIn,
  rotationNames,
  rotationOf,
  type RotationName,
} from "../../secrets/rotations.ts";
import type { Missing, Records } from "../../reports/facts.ts";
import { beganAt, dayOf, dueOf } from "../../reports/tasks/tasks.ts";
import type { Environment } from "../../stacks/environment.ts";

export interface Age {
  readonly name: RotationName;

  /** Day, `2026-11-24`; undefined: not known. */
  readonly since: string | undefined;

  /** First day on which it is due; undefined: never, or not known. */
  readonly due: string | undefined;
  readonly isDue: boolean;
}

type Events = Pick<Records, "history" | "releases">;

/** Those that are due first, then by the day on which they will be. */
export function agesOf({
  names,
  records,
  now,
}: {
  readonly names: readonly RotationName[];
  readonly records: Events | Missing;
  readonly now: Date;
}): Age[] {
  const today = dayOf(now.toISOString());
  const ages = names.map((name): Age => {
    const at =
      "why" in records ? undefined : (lastRotation(name, records) ?? beganAt({ corrupt: [], ...records }));
    const { from, isDue } = dueOf(
      { days: daysOf(name), isAutomatic: false },
      { last: { at }, began: undefined, today },
    );
    return { name, since: at === undefined ? undefined : dayOf(at), due: from, isDue };
  });
  return ages.toSorted((one, other) => (one.due ?? "9999").localeCompare(other.due ?? "9999"));
}

function lastRotation(name: RotationName, { history }: Events): string | undefined {
  return history.findLast(({ action, detail }) => action === "secret" && rotatedIn(detail).includes(name))
    ?.at;
}

/** The secrets that this environment has, and the others whose place it uses. */
export function agingNames(
  configured: ReadonlySet<SecretName>,
  { backup }: { readonly backup: Pick<Environment["backup"], "project"> },
): RotationName[] {
  const isUsed = (name: RotationName) => {
    if (!isOtherName(name)) return configured.has(name) && rotationOf(name).steps.length > 0;
    return !name.startsWith("backup") || backup.project !== "";
  };
  return rotationNames.filter(isUsed);
}

/** The names of a configuration as `pulumi config --json` prints it. */
export function configuredIn(
  configuration: Readonly<Record<string, { readonly secret: boolean }>>,
): ReadonlySet<SecretName> {
  return new Set(secretNames.filter((name) => configuration[`technicia:${name}`]?.secret === true));
}

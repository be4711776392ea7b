/** What the storage has of the backups, and what the server has recorded of them, as findings: no update and no repair makes a set. */
import type { readNewest } from "../backup/read-back.ts";
import {
  findProblem,
  hoursSince,
  isToCome,
  type BackupProblem,
  type BackupStatus,
} from "../backup/status.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Finding } from "./report.ts";

/** The newest set in the storage; undefined where there is none. */
export type StoredSet = Awaited<ReturnType<typeof readNewest>>;

/**
 * `status`: undefined where the program has never run, whose files are compared by themselves. What the server says of its newest set counts
 * for nothing: the storage has it, or nobody has.
 */
export function backupFindings(
  { status, stored }: { readonly status: BackupStatus | undefined; readonly stored: StoredSet },
  when: { readonly environment: Environment; readonly now: number },
): Finding[] {
  if (status === undefined) return [];
  if (stored?.isIntact === false) {
    const { name } = when.environment;
    return [
      findingOf({
        what: "newest set",
        expected: "as it was written",
        found: `set ${stored.id.slice(0, 8)} has another content: somebody has written over it, or has added it`,
        command: `npm run backups -- ${name} --undelete`,
      }),
    ];
  }
  const isAhead = status.last !== undefined && isToCome(status.last.time, when.now);
  const problem = findProblem({ ...status, last: isAhead ? status.last : stored }, when);
  if (problem === undefined || isTooEarly(problem, status, when)) return [];
  return [findingOf(describe(problem, when.environment))];
}

function findingOf({ what, expected, found, command }: ReturnType<typeof describe>): Finding {
  return {
    layer: "host",
    resource: "backups",
    what,
    expected: [expected],
    found: [found],
    repair: `nothing automatic: ${command}`,
  };
}

/** The timers need their time after the first deployment. */
function isTooEarly(
  { kind }: BackupProblem,
  { setUpAt }: Pick<BackupStatus, "setUpAt">,
  { environment: { backup }, now }: { readonly environment: Environment; readonly now: number },
): boolean {
  const hours = hoursSince(setUpAt, now);
  if (kind === "no-set") return hours < backup.maxAgeHours;
  return kind === "never-rehearsed" && hours < 2 * backup.drillDays * 24;
}

function describe(problem: BackupProblem, { name, backup }: Pick<Environment, "name" | "backup">) {
  const set = { what: "newest set", expected: `at most ${backup.maxAgeHours} h old` };
  const rehearsal = { what: "last rehearsal", expected: `passed within ${2 * backup.drillDays} days` };
  const make = `npm run backup -- ${name}`;
  const drill = `npm run drill -- ${name}`;
  const because = (failure: string | undefined) =>
    failure === undefined ? "" : `; the last one failed: ${failure}`;
  switch (problem.kind) {
    case "restoring":
      return {
        what: "restore",
        expected: "none under way",
        found: `one of the set ${problem.set} was begun and has not ended`,
        command: `${problem.finishedBy} finishes it`,
      };
    case "wrong-clock":
      return {
        ...(problem.what === "set" ? set : rehearsal),
        found: `of ${problem.at}, which has not come yet: a clock is or was wrong`,
        command: `timedatectl on the server, then ${problem.what === "set" ? make : drill}`,
      };
    case "no-set":
      return { ...set, found: `no set${because(problem.failure)}`, command: make };
    case "old-set":
      return { ...set, found: `${problem.hours.toFixed(1)} h old${because(problem.failure)}`, command: make };
    case "never-rehearsed":
      return { ...rehearsal, found: "none", command: drill };
    case "rehearsal-not-run":
      return { ...rehearsal, found: `the last one could not begin: ${problem.failure}`, command: drill };
    case "failed-rehearsal":
      return { ...rehearsal, found: `failed: ${problem.findings.join("; ")}`, command: drill };
    case "old-rehearsal":
      return { ...rehearsal, found: `${problem.days} days ago`, command: drill };
  }
}

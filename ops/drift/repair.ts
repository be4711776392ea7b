/** Restores what was deployed: shows the plan, asks, repairs what can be repaired, and checks again. */
import { openDnsZone } from "../../provider/dns/records.ts";
import { at, hasUnknown, isSameButUnknown, parsePath } from "../changes/properties.ts";
import { pathsSaid, readSteps, type Step } from "../changes/steps.ts";
import { readEvents, runEngine } from "../engine/events.ts";
import { PulumiFailure } from "../engine/cli.ts";
import { refuseHalfRestored } from "../backup/status.ts";
import type { Server } from "../server/connection.ts";
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { logCheck, type CheckLogEffects } from "./check-log.ts";
import { checkDrift, type Checked, type World } from "./check.ts";
import { effectOf, type Difference } from "./differences.ts";
import type { ForeignRecord } from "./foreign-records.ts";
import { renderReport, type DriftReport } from "./report.ts";
import { isOnServer } from "./state.ts";
import { watched } from "./watched-repair.ts";
import type { StateResource } from "../engine/state.ts";

interface RepairRequest {
  readonly stack: string;

  /** Whether to repair without asking. */
  readonly yes: boolean;

  /** Whether settings that are not deployed yet may be deployed with it. */
  readonly withChanges: boolean;
}

export interface RepairWorld extends World, CheckLogEffects, Pick<Effects, "confirm"> {
  /** Does the work under the deployment's lock. */
  readonly exclusively: <T>(server: Server, stack: string, work: () => Promise<T>) => Promise<T>;
}

/** The reports of the first check and after the repair; the latter is undefined when nothing had to be repaired. */
export async function repairDrift(
  request: RepairRequest,
  world: RepairWorld,
): Promise<{ readonly before: DriftReport; readonly after: DriftReport | undefined }> {
  const { stack } = request;
  const checked = await checkDrift(stack, world);
  try {
    const { report, server } = checked;
    await logCheck(checked, world);
    if (report.outcome === "clean") return { before: report, after: undefined };
    world.say(renderReport(report));
    requireRepairable(checked);
    const work = async () => ({ before: report, after: await repairInRounds(request, checked, world) });
    // The lock is on the server. Where nobody gets in, nobody deploys; the engine's own lock guards the rest.
    return server === undefined ? await work() : await world.exclusively(server, stack, work);
  } finally {
    checked.close();
  }
}

/** Refuses where a repair would do harm or nothing. What stands in its way has said above what to do about it. */
function requireRepairable(checked: Checked): void {
  const { report, state, isBusy, foreignRecords } = checked;
  const { stack, gaps } = report;
  if (isBusy) throw new UserError(`${stack}: ${gaps.map(({ reason }) => reason).join("; ")}`);
  if (state.incomplete !== undefined) throw new UserError(`${stack}: ${state.incomplete}`);
  if (repairable(checked).length + foreignRecords.length > 0) return;
  throw new UserError(
    `${stack}: nothing that was found can be repaired from here; do what the lines "repair" and "reason" above say, then run npm run drift -- ${stack} --repair again`,
  );
}

function repairable({ differences }: Checked): Difference[] {
  return differences.filter((difference) => effectOf(difference).byHand !== true);
}

/**
 * Repairs, checks, and repairs again what could only be checked after the first repair.
 *
 * `affected` grows with the rounds: what a repair recreates may make its dependents be recreated in the next round, when the state no longer
 * has that dependency, because a refresh that finds a resource gone removes it from the others.
 */
async function repairInRounds(
  request: RepairRequest,
  first: Checked,
  world: RepairWorld,
): Promise<DriftReport> {
  const checks = [first];
  let affected: ReadonlySet<string> = new Set();
  try {
    for (;;) {
      const checked = checks.at(-1)!;
      const causes = new Set([...affected, ...checked.differences.map(({ urn }) => urn)]);
      affected = withDependents(causes, checked.state.resources);
      const repair = await planRepair({ request, checked, affected }, world);
      const agreed = await requireConsent(repair, request, world);
      const failure = await carryOut({ ...repair, records: agreed }, world);

      const again = await checkDrift(request.stack, world, { holdsLock: true });
      checks.push(again);
      await logCheck(again, world, describeRepair(checked.report, again.report));
      if (failure !== undefined) return reportFailed(again.report, failure, world);
      // What was left out may have to be made again from what has been repaired, although nothing tells by now.
      const isDone = isRestored(again) && leftOut(checked).length === 0;
      if (isDone || isSame(checked.report, again.report)) return again.report;
      if (again.report.findings.length > 0) world.say(renderReport(again.report));
    }
  } finally {
    // The first one belongs to the caller.
    for (const check of checks.slice(1)) check.close();
  }
}

/** What the repair could not repair is in the report; where nothing is, only the failure tells that something went wrong. */
function reportFailed(
  report: DriftReport,
  failure: UserError,
  { say }: Pick<RepairWorld, "say">,
): DriftReport {
  if (report.outcome === "clean") throw failure;
  say(failure.message);
  return report;
}

/** Whether nothing differs any more; what waits for a maintenance stays. */
function isRestored({ differences, foreignRecords, report }: Checked): boolean {
  return differences.length + foreignRecords.length + report.gaps.length === 0;
}

/** Whether a round has changed nothing, so that another one would not either. */
function isSame(before: DriftReport, after: DriftReport): boolean {
  const [one, other] = [before, after].map(({ findings, gaps }) =>
    JSON.stringify([findings.map(({ resource, what, found }) => [resource, what, found]), gaps]),
  );
  return one === other;
}

/** What is shown, agreed to and carried out. */
interface Repair {
  readonly stack: string;
  readonly checked: Checked;

  /** Whether what is not deployed yet may come along. */
  readonly withChanges: boolean;

  /** Arguments that leave out what cannot be read or repaired; none for all. */
  readonly selection: readonly string[];

  /** One line for each resource that the engine changes. */
  readonly changes: readonly string[];

  /** Resources that change for another reason than the drift. */
  readonly unasked: readonly string[];

  /** DNS records to delete. */
  readonly records: readonly ForeignRecord[];
}

/** `affected`: URNs of what a repair may change. */
async function planRepair(
  about: {
    readonly request: RepairRequest;
    readonly checked: Checked;
    readonly affected: ReadonlySet<string>;
  },
  world: World,
): Promise<Repair> {
  const { checked, affected } = about;
  const { stack, withChanges } = about.request;
  const selection = leftOut(checked).flatMap((urn) => ["--exclude", urn]);
  const repair = { stack, checked, withChanges, selection, records: checked.foreignRecords };
  if (repairable(checked).length === 0 && affected.size === 0) return { ...repair, changes: [], unasked: [] };
  if (checked.server !== undefined) await refuseHalfRestored(checked.server, stack);
  await checked.server?.logInForDocker();
  const { log, failure } = await withSettings(repair, (options) => {
    const args = ["preview", "--refresh", "--color", "never", ...options, "--stack", stack, ...selection];
    return runEngine({ pulumi: world.pulumi, args });
  });
  if (failure) {
    throw new UserError(
      `${stack}: the repair cannot be planned:\n${failure.errors.join("\n")}\n` +
        `nothing was changed; fix what is named above and run npm run drift -- ${stack} --repair again`,
      { cause: failure },
    );
  }
  const steps = readSteps(readEvents(log)).filter(
    ({ kind, before, after }) => kind !== "same" && (after ?? before)?.custom === true,
  );
  refuseOrder(stack, steps);
  return {
    ...repair,
    changes: steps.map(({ kind, name, row }) => `${kind.padEnd(8)}${name} (${row.label})`),
    unasked: steps
      .filter((step) => !affected.has(step.urn) && !isMadeOfRepaired(step))
      .map(({ name }) => name),
  };
}

/**
 * Whether nothing differs but what this plan makes again. Where a refresh has found a resource gone, the state no longer tells what depended on
 * it; the plan does, by the values that it does not know yet.
 */
function isMadeOfRepaired(step: Step): boolean {
  const { before, after } = step;
  if (!before || !after) return false;
  const isUnknown = (path: string) => hasUnknown(at(after.inputs, parsePath(path)));
  return (
    hasUnknown(after.inputs) &&
    isSameButUnknown(before.inputs, after.inputs) &&
    pathsSaid(step).every(isUnknown)
  );
}

/** URNs of what cannot be read, or not be repaired by the engine: one of them would keep everything else from being repaired. */
function leftOut({ state, differences, unreadable, server }: Checked): string[] {
  const byHand = differences
    .filter((difference) => effectOf(difference).byHand === true)
    .map(({ urn }) => urn);
  const outOfReach = server === undefined ? state.resources.filter(isOnServer).map(({ urn }) => urn) : [];
  const known = new Set(state.all.map(({ urn }) => urn));
  return [...new Set([...unreadable, ...byHand, ...outOfReach])].filter((urn) => known.has(urn));
}

/** A repair deploys the settings of the last deployment, unless the others were asked for. */
function withSettings<T>(
  { checked: { settings }, withChanges }: Pick<Repair, "checked" | "withChanges">,
  work: (options: readonly string[]) => Promise<T>,
): Promise<T> {
  return settings === undefined || withChanges ? work([]) : settings.during(work);
}

/** A repair restores what was deployed; it never takes another server, which may be one to be ordered and paid. */
function refuseOrder(stack: string, steps: readonly Step[]): void {
  const server = steps.find(
    ({ type, kind }) => type === "technicia:ovh:Vps" && (kind === "create" || kind === "replace"),
  );
  if (!server) return;
  throw new UserError(
    `${stack}: the repair would ${server.kind} ${server.name}, and a repair never takes or orders a server; nothing was changed. ` +
      `Find out in OVH's control panel why the server is missing, then look at npm run preview -- ${stack}`,
  );
}

/** Gives the DNS records that may be deleted. */
async function requireConsent(
  { stack, changes, unasked, records }: Repair,
  { yes, withChanges }: RepairRequest,
  { say, confirm }: Pick<RepairWorld, "say" | "confirm">,
): Promise<readonly ForeignRecord[]> {
  const deleted = records.filter(({ remedy }) => remedy === "delete");
  const lines = [...changes, ...deleted.map((record) => `delete  ${describe(record)}`)];
  if (lines.length > 0) say(["Plan", ...lines.map((line) => `  ${line}`)].join("\n"));
  if (unasked.length > 0) {
    const names = unasked.join(", ");
    say(`also changes, because the program or its secrets are not those that were deployed: ${names}`);
    if (!withChanges) {
      throw new UserError(
        `${stack}: the program or its secrets are not those that were deployed, and a repair would deploy them unreviewed (${names}); ` +
          `deploy them with npm run deploy -- ${stack}, or add --with-changes`,
      );
    }
  }
  if (lines.length > 0 && !yes && !(await confirm(`Apply this repair to ${stack}?`)))
    throw new UserError(`${stack}: cancelled; nothing was changed`);
  const doubtful = records.filter(({ remedy }) => remedy === "ask");
  if (doubtful.length === 0) return deleted;
  const named = doubtful.map(describe).join("; ");
  if (yes) {
    say(
      `kept, because something else may need it: ${named}; delete it at the vendor, or by npm run drift -- ${stack} --repair without --yes`,
    );
    return deleted;
  }
  const agreed = await confirm(`Also delete ${named}? Mail or another service may need it.`);
  return agreed ? [...deleted, ...doubtful] : deleted;
}

function describe({ name, type, content }: ForeignRecord): string {
  return `${name} ${type} ${content}`;
}

/** Gives the failure of the engine, which goes on with what does not depend on what failed. */
async function carryOut(repair: Repair, world: RepairWorld): Promise<UserError | undefined> {
  const { checked, changes, records } = repair;
  // First, because an extra record can prevent ours from being created.
  if (records.length > 0 && checked.settings !== undefined) {
    const { environment, secrets } = checked.settings;
    const zone = openDnsZone({ environment, secrets, fetch: world.fetch });
    for (const record of records) await zone.remove(record);
  }
  if (changes.length === 0) return undefined;
  return await watched(checked, changes.length, world, () => deployAsDeclared(repair, world));
}

async function deployAsDeclared(
  repair: Repair,
  world: World & Pick<Effects, "say">,
): Promise<UserError | undefined> {
  const { stack, checked, selection } = repair;
  const args = ["up", "--refresh", "--yes", "--skip-preview", "--continue-on-error", "--color", "never"];
  await checked.server?.logInForDocker();
  try {
    await withSettings(repair, (options) =>
      world.pulumi({
        args: [...args, "--message", "repair of drift", ...options, "--stack", stack, ...selection],
        onLine: world.say,
      }),
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    return new UserError(
      `${stack}: not everything was repaired:\n${error.errors.join("\n")}\n` +
        `what was repaired stays repaired; fix what is named above and run npm run drift -- ${stack} --repair again`,
      { cause: error },
    );
  }
}

/** Adds everything that depends on these resources: a recreated resource recreates its dependents. */
export function withDependents(urns: ReadonlySet<string>, resources: readonly StateResource[]): Set<string> {
  const all = new Set(urns);
  for (let size = -1; size !== all.size;) {
    size = all.size;
    for (const { urn, dependencies } of resources) {
      if ((dependencies ?? []).some((dependency) => all.has(dependency))) all.add(urn);
    }
  }
  return all;
}

function describeRepair(before: DriftReport, after: DriftReport): string {
  const repaired = before.findings.map(({ resource, what }) => `${resource} : ${what}`).join(" ; ");
  return `${repaired}. Ensuite : ${after.outcome === "clean" ? "plus aucun écart" : `${after.findings.length} écarts restent`}`;
}

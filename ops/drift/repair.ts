/** Restores what was deployed: shows the plan, asks, repairs, and checks again. */
import { openDnsZone, type DnsRecord } from "../vendors/dns-records.ts";
import { readSteps } from "../changes/steps.ts";
import { readEvents, runEngine } from "../engine/events.ts";
import { PulumiFailure } from "../engine/cli.ts";
import type { Server } from "../server/connection.ts";
import { readSettings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { logCheck, type CheckLogEffects } from "./check-log.ts";
import { checkDrift, type Checked, type World } from "./check.ts";
import { renderReport, type DriftReport } from "./report.ts";
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
    const { report, server, differences, extraRecords } = checked;
    await logCheck(checked, world);
    if (report.outcome === "clean") return { before: report, after: undefined };
    world.say(renderReport(report));
    const hasFindings = differences.length + extraRecords.length > 0;
    if (server === undefined || !checked.onlyProvidersFail || !hasFindings) {
      throw new UserError(
        `${stack}: not everything could be looked at (${report.gaps.length} gap${report.gaps.length === 1 ? "" : "s"} above); fix that first`,
      );
    }
    return await world.exclusively(server, stack, async () => ({
      before: report,
      after: await repairInRounds(request, checked, world),
    }));
  } finally {
    checked.close();
  }
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
      const repair = await planRepair(checked, affected, world);
      await requireConsent(repair, request, world);
      await carryOut(repair, world);

      const again = await checkDrift(request.stack, world, { holdsLock: true });
      checks.push(again);
      await logCheck(again, world, describeRepair(checked.report, again.report));
      if (checked.report.gaps.length === 0 || again.report.gaps.length > 0) return again.report;
      if (again.report.findings.length > 0) world.say(renderReport(again.report));
    }
  } finally {
    // The first one belongs to the caller.
    for (const check of checks.slice(1)) check.close();
  }
}

/** What is shown, agreed to and carried out. */
interface Repair {
  readonly stack: string;
  readonly server: Server | undefined;

  /** Arguments that restrict the engine to some resources; none for all. */
  readonly targets: readonly string[];

  /** One line for each resource that the engine changes. */
  readonly changes: readonly string[];

  /** Resources that change for another reason than the drift. */
  readonly unasked: readonly string[];

  /** DNS records to delete. */
  readonly records: readonly DnsRecord[];
}

/** `affected`: URNs of what a repair may change. */
async function planRepair(
  { report, server, differences, extraRecords: records }: Checked,
  affected: ReadonlySet<string>,
  { pulumi }: World,
): Promise<Repair> {
  const { stack } = report;
  // While a provider fails, only what was found to differ is touched: the others could not even be read.
  const urns = report.gaps.length === 0 ? [] : new Set(differences.map(({ urn }) => urn));
  const targets = [...urns].flatMap((urn) => ["--target", urn]);
  await server?.logInForDocker();
  const args = ["preview", "--refresh", "--color", "never", "--stack", stack, ...targets];
  const { log, failure } = await runEngine({ pulumi, args });
  if (failure) throw failure;
  const steps = readSteps(readEvents(log)).filter(
    ({ kind, before, after }) => kind !== "same" && (after ?? before)?.custom === true,
  );
  return {
    stack,
    server,
    targets,
    changes: steps.map(({ kind, name, row }) => `${kind.padEnd(8)}${name} (${row.label})`),
    unasked: steps.filter(({ urn }) => !affected.has(urn)).map(({ name }) => name),
    records,
  };
}

async function requireConsent(
  { stack, changes, unasked, records }: Repair,
  { yes, withChanges }: RepairRequest,
  { say, confirm }: Pick<RepairWorld, "say" | "confirm">,
): Promise<void> {
  const lines = [
    ...changes,
    ...records.map(({ name, type, content }) => `delete  ${name} ${type} ${content}`),
  ];
  if (lines.length === 0) return;
  say(["Plan", ...lines.map((line) => `  ${line}`)].join("\n"));
  if (unasked.length > 0) {
    const names = unasked.join(", ");
    say(`also changes, because the settings or the program are not those that were deployed: ${names}`);
    if (!withChanges) {
      throw new UserError(
        `${stack}: the settings are not those that were deployed, and a repair would deploy them unreviewed (${names}); ` +
          `deploy them with npm run deploy -- ${stack}, or add --with-changes`,
      );
    }
  }
  if (!yes && !(await confirm(`Apply this repair to ${stack}?`)))
    throw new UserError(`${stack}: cancelled; nothing was changed`);
}

async function carryOut(
  { stack, server, targets, changes, records }: Repair,
  world: World & Pick<Effects, "say">,
) {
  // First, because an extra record can prevent ours from being created.
  if (records.length > 0) {
    const zone = openDnsZone({ ...(await readSettings(stack, world.pulumi)), fetch: world.fetch });
    for (const record of records) await zone.remove(record);
  }
  if (changes.length === 0) return;
  const args = ["up", "--refresh", "--yes", "--skip-preview", "--color", "never"];
  await server?.logInForDocker();
  try {
    await world.pulumi({
      args: [...args, "--message", "repair of drift", "--stack", stack, ...targets],
      onLine: world.say,
    });
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    throw new UserError(
      `${stack}: the repair failed:\n${error.errors.join("\n")}\n` +
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

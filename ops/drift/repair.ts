/** Puts back what was deployed: shows what will happen, asks, does it, and looks again. */
import { openDnsZone } from "../vendors/dns-records.ts";
import { readSteps } from "../changes/steps.ts";
import { readEvents } from "../engine/events.ts";
import { PulumiFailure } from "../engine/cli.ts";
import { runEngine } from "../engine/run.ts";
import type { Server } from "../server/connection.ts";
import { readSettings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { audit, type Auditor } from "./audit.ts";
import { checkDrift, type Checked, type World } from "./check.ts";
import type { DriftReport } from "./finding.ts";
import { renderReport } from "./render.ts";
import { nameOf } from "../../common/urn.ts";
import type { StateResource } from "../engine/state.ts";

export interface RepairRequest {
  readonly stack: string;

  /** Whether nobody is asked. */
  readonly yes: boolean;

  /** Whether settings that are not deployed yet may be deployed with it. */
  readonly withChanges: boolean;
}

export interface RepairWorld extends World, Auditor, Pick<Effects, "confirm"> {
  /** Works while no other deployment of the stack does. */
  readonly exclusively: <T>(server: Server, stack: string, work: () => Promise<T>) => Promise<T>;
}

export interface Repaired {
  /** What was found first. */
  readonly before: DriftReport;

  /** What was found after the repair; undefined when there was none. */
  readonly after: DriftReport | undefined;
}

export async function repairDrift(request: RepairRequest, world: RepairWorld): Promise<Repaired> {
  const { stack } = request;
  const checked = await checkDrift(stack, world);
  try {
    const { report } = checked;
    await audit(checked, world);
    if (report.outcome === "clean") return { before: report, after: undefined };
    world.say(renderReport(report));
    if (checked.server === undefined || !checked.onlyProvidersFail || isEmpty(checked)) {
      throw new UserError(
        `${stack}: expected to reach what is to be repaired, got ${report.gaps.length} gap${report.gaps.length === 1 ? "" : "s"} (above); mend those first`,
      );
    }
    return await world.exclusively(checked.server, stack, async () => {
      const after = await carryOutAndCheck(request, checked, world);
      return { before: report, after };
    });
  } finally {
    checked.close();
  }
}

function isEmpty({ differences, extraRecords }: Checked): boolean {
  return differences.length + extraRecords.length === 0;
}

/**
 * `repaired`: what an earlier round put back, and all that was made from it, which may have to be made again now. The engine no longer tells
 * the second by then: a refresh that finds a thing gone takes it out of what the others depend on.
 */
async function carryOutAndCheck(
  request: RepairRequest,
  checked: Checked,
  world: RepairWorld,
  repaired: ReadonlySet<string> = new Set(),
): Promise<DriftReport> {
  const causes = new Set([...repaired, ...checked.differences.map(({ urn }) => urn)]);
  const affected = withDependents(causes, checked.state.things);
  const hasChanges = await plan(request, checked, world, affected);
  await carryOut(request, checked, world, hasChanges);
  const again = await checkDrift(request.stack, world, { holdsLock: true });
  try {
    await audit(again, world, repairOf(checked.report, again.report));
    // What kept the rest from being looked at is mended: now for the rest.
    if (checked.report.gaps.length === 0 || again.report.gaps.length > 0) return again.report;
    if (again.report.findings.length > 0) world.say(renderReport(again.report));
    return await carryOutAndCheck(request, again, world, affected);
  } finally {
    again.close();
  }
}

/** While a provider fails, only what was found to differ is touched: the others could not even be read. */
function targetsOf({ report, differences }: Checked): string[] {
  return report.gaps.length === 0
    ? []
    : [...new Set(differences.map(({ urn }) => urn))].flatMap((urn) => ["--target", urn]);
}

/** Shows what the engine will do, and has it agreed to; tells whether there is anything for it to do. */
async function plan(
  { stack, yes, withChanges }: RepairRequest,
  checked: Checked,
  world: RepairWorld,
  affected: ReadonlySet<string>,
): Promise<boolean> {
  const { changed, unasked } = await readPlan(stack, checked, world, affected);
  if (changed.length + checked.extraRecords.length === 0) return false;
  const records = checked.extraRecords.map(({ name, type, content }) => `delete  ${name} ${type} ${content}`);
  world.say(
    ["Plan", ...changed.map((line) => `  ${line}`), ...records.map((line) => `  ${line}`)].join("\n"),
  );
  if (unasked.length > 0) {
    const names = unasked.map(nameOf).join(", ");
    world.say(`also changes, because the settings or the program are not those that were deployed: ${names}`);
    if (!withChanges) {
      throw new UserError(
        `${stack}: expected the settings that were deployed, got others, which a repair would deploy unreviewed (${names}); ` +
          `deploy them with npm run deploy -- ${stack}, or add --with-changes`,
      );
    }
  }
  if (!yes && !(await world.confirm(`Repair ${stack} so?`))) {
    throw new UserError(`${stack}: expected a yes, got a no; nothing was changed`);
  }
  return changed.length > 0;
}

async function readPlan(
  stack: string,
  checked: Checked,
  { pulumi }: World,
  affected: ReadonlySet<string>,
): Promise<{ readonly changed: string[]; readonly unasked: string[] }> {
  await checked.server?.logInForDocker();
  const args = ["preview", "--refresh", "--color", "never", "--stack", stack, ...targetsOf(checked)];
  const { log, failure } = await runEngine({ pulumi, args });
  if (failure) throw failure;
  const steps = readSteps(readEvents(log)).filter(
    ({ kind, before, after }) => kind !== "same" && (after ?? before)?.custom === true,
  );
  return {
    changed: steps.map(({ kind, name, row }) => `${kind.padEnd(8)}${name} (${row.label})`),
    unasked: steps.map(({ urn }) => urn).filter((urn) => !affected.has(urn)),
  };
}

/** A thing made again brings those along that were made from it. */
export function withDependents(urns: ReadonlySet<string>, things: readonly StateResource[]): Set<string> {
  const all = new Set(urns);
  for (let size = -1; size !== all.size;) {
    size = all.size;
    for (const { urn, dependencies } of things) {
      if ((dependencies ?? []).some((dependency) => all.has(dependency))) all.add(urn);
    }
  }
  return all;
}

async function carryOut(
  { stack }: RepairRequest,
  checked: Checked,
  world: RepairWorld,
  hasChanges: boolean,
): Promise<void> {
  // First, because a record that stands in the way keeps ours from being put back.
  if (checked.extraRecords.length > 0) {
    const zone = openDnsZone({ ...(await readSettings(stack, world.pulumi)), fetch: world.fetch });
    for (const record of checked.extraRecords) await zone.remove(record);
  }
  if (!hasChanges) return;
  const args = ["up", "--refresh", "--yes", "--skip-preview", "--color", "never"];
  await checked.server?.logInForDocker();
  try {
    await world.pulumi({
      args: [...args, "--message", "repair of drift", "--stack", stack, ...targetsOf(checked)],
      onLine: world.say,
    });
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    throw new UserError(
      `${stack}: expected the repair to succeed, got:\n${error.errors.join("\n")}\n` +
        `what was repaired stays so; mend what is named above and run npm run drift -- ${stack} --repair again`,
      { cause: error },
    );
  }
}

function repairOf(before: DriftReport, after: DriftReport): string {
  const repaired = before.findings.map(({ resource, what }) => `${resource} : ${what}`).join(" ; ");
  return `${repaired}. Ensuite : ${after.outcome === "clean" ? "plus aucun écart" : `${after.findings.length} écarts restent`}`;
}

import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { realEffects, type Effects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { holdLock } from "../server/lock.ts";
import type { Pulumi } from "../engine/cli.ts";
import { openGithub } from "../vendors/github.ts";
import type { Server } from "../server/connection.ts";
import { UserError } from "../../common/user-error.ts";
import { logCheck } from "./check-log.ts";
import { checkDrift } from "./check.ts";
import { EXIT_CODES, type DriftReport } from "./finding.ts";
import { reportFailure, reportToIssue, type IssueTracker } from "./issue.ts";
import { headline, renderReport } from "./render.ts";
import { repairDrift, type RepairWorld } from "./repair.ts";

export const commands: Commands = {
  drift: {
    usage: "npm run drift -- <stack> [--json] [--repair [--yes] [--with-changes]] [--issue]",
    summary: "compares the actual state with the last deployment; --repair restores it",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        repair: { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        "with-changes": { type: "boolean", default: false },
        issue: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      // Checked first, so that a check of minutes does not end with a missing variable.
      const tracker = values.issue ? openGithub(process.env) : undefined;
      const request = { stack, json: values.json, tracker };
      if (!values.repair) return await reported(request, checked, realEffects(new AbortController()));
      const repair = { stack, yes: values.yes, withChanges: values["with-changes"] };
      return await untilStopped((stop) => {
        const effects = realEffects(stop);
        // An interrupted repair ends the engine's run in order, and releases the lock.
        const pulumi: Pulumi = (call) => effects.pulumi({ ...call, signal: stop.signal });
        return reported(request, (_, world) => repaired(repair, world), { ...effects, pulumi });
      });
    },
  },
};

interface ReportRequest {
  readonly stack: string;
  readonly json: boolean;
  readonly tracker: IssueTracker | undefined;
}

async function reported(
  { stack, json, tracker }: ReportRequest,
  look: (stack: string, world: RepairWorld) => Promise<DriftReport>,
  effects: Effects,
): Promise<Outcome> {
  const world = worldOf(effects);
  try {
    const report = await look(stack, world);
    const issue = tracker && (await reportToIssue(report, tracker));
    const lines = [
      json ? JSON.stringify(report, null, 2) : renderReport(report),
      ...(issue === undefined || json ? [] : [`issue ${issue.action}: ${issue.url}`]),
    ];
    return { text: lines.join("\n\n"), exitCode: EXIT_CODES[report.outcome] };
  } catch (error) {
    if (error instanceof UserError && tracker) await reportToTracker(stack, error, tracker, world);
    throw error;
  }
}

async function checked(stack: string, world: RepairWorld): Promise<DriftReport> {
  const found = await checkDrift(stack, world);
  try {
    await logCheck(found, world);
    return found.report;
  } finally {
    found.close();
  }
}

async function repaired(
  request: Parameters<typeof repairDrift>[0],
  world: RepairWorld,
): Promise<DriftReport> {
  const { before, after } = await repairDrift(request, world);
  if (after === undefined) world.say(`${headline(before)}: nothing to repair`);
  return after ?? before;
}

async function reportToTracker(
  stack: string,
  error: UserError,
  tracker: IssueTracker,
  { now, say }: RepairWorld,
): Promise<void> {
  try {
    await reportFailure(stack, now(), error.message, tracker);
  } catch (second) {
    if (!(second instanceof UserError)) throw second;
    say(second.message);
  }
}

function worldOf(effects: Effects): RepairWorld {
  return {
    ...effects,
    fetch,
    exclusively: (server, stack, work) => underLock(server, { ...effects, stack }, work),
  };
}

async function underLock<T>(
  server: Server,
  request: Effects & { readonly stack: string },
  work: () => Promise<T>,
): Promise<T> {
  const lock = await holdLock(server, { ...request, why: "repair of drift" });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

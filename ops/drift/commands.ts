import { readFile } from "node:fs/promises";

import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { realEffects, type Effects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { settingsFile } from "../engine/settings-file.ts";
import { openGithub } from "../vendors/github.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { logCheck, type CheckLogEffects } from "./check-log.ts";
import { checkDrift, type World } from "./check.ts";
import { reportFailure, reportToIssue, type IssueTracker } from "./issue.ts";
import { repairDrift } from "./repair.ts";
import { EXIT_CODES, headline, renderReport, type DriftReport } from "./report.ts";
import { stoppableWorld } from "./under-lock.ts";

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
      if (!values.repair) {
        const world = reach(new AbortController());
        return await reported(request, world, () => checked(stack, world));
      }
      const repair = { stack, yes: values.yes, withChanges: values["with-changes"] };
      return await untilStopped((stop) => {
        const world = stoppableWorld(reach(stop), stop);
        return reported(request, world, async () => {
          const { before, after } = await repairDrift(repair, world);
          if (after === undefined) world.say(`${headline(before)}: nothing to repair`);
          return after ?? before;
        });
      });
    },
  },
};

function reach(stop: AbortController): Effects & World {
  const effects = realEffects(stop);
  return {
    ...effects,
    // Foreign DNS records are findings here, and nothing that stops the engine.
    pulumi: (call) => effects.pulumi({ ...call, environment: { ...call.environment, TECHNICIA_DRIFT: "1" } }),
    fetch: systemFetch,
    readSettingsFile: (stack) => readFile(settingsFile(stack), "utf8"),
  };
}

async function checked(stack: string, world: World & CheckLogEffects): Promise<DriftReport> {
  const found = await checkDrift(stack, world);
  try {
    await logCheck(found, world);
    return found.report;
  } finally {
    found.close();
  }
}

async function reported(
  request: { readonly stack: string; readonly json: boolean; readonly tracker: IssueTracker | undefined },
  { now, say }: Pick<Effects, "now" | "say">,
  look: () => Promise<DriftReport>,
): Promise<Outcome> {
  const { stack, json, tracker } = request;
  try {
    const report = await look();
    const issue = tracker && (await reportToIssue(report, tracker));
    const lines = [
      json ? JSON.stringify(report, null, 2) : renderReport(report),
      ...(issue === undefined || json ? [] : [`issue ${issue.action}: ${issue.url}`]),
    ];
    return { text: lines.join("\n\n"), exitCode: EXIT_CODES[report.outcome] };
  } catch (error) {
    if (!(error instanceof UserError) || !tracker) throw error;
    try {
      await reportFailure(stack, now(), error.message, tracker);
    } catch (second) {
      if (!(second instanceof UserError)) throw second;
      say(second.message);
    }
    throw error;
  }
}

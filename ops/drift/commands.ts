import { createInterface } from "node:readline/promises";

import { onlyStack, readArguments, type Commands } from "../command.ts";
import { RENEW_SECONDS, takeLock } from "../server/lock.ts";
import { identifyHere, isAlive } from "../server/identity.ts";
import { openGithub } from "../vendors/github.ts";
import { openServer, type Server } from "../server/connection.ts";
import { pulumiWithOwnLocks } from "../engine/state-lock.ts";
import { UserError } from "../../common/user-error.ts";
import { audit } from "./audit.ts";
import { checkDrift } from "./check.ts";
import { EXIT_CODES, type DriftReport } from "./finding.ts";
import { reportFailure, reportToIssue, type IssueTracker } from "./issue.ts";
import { headline, renderReport } from "./render.ts";
import { repairDrift, type RepairWorld } from "./repair.ts";

export const commands: Commands = {
  drift: {
    usage: "npm run drift -- <stack> [--json] [--repair [--yes] [--with-changes]] [--issue]",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        repair: { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        "with-changes": { type: "boolean", default: false },
        issue: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      // Asked first: a check of minutes must not end with a missing variable.
      const tracker = values.issue ? openGithub(process.env) : undefined;
      const world = realWorld();
      try {
        const report = values.repair
          ? await repaired({ stack, yes: values.yes, withChanges: values["with-changes"] }, world)
          : await checked(stack, world);
        const told = tracker && (await reportToIssue(report, tracker));
        const lines = [
          values.json ? JSON.stringify(report, null, 2) : renderReport(report),
          ...(told === undefined || values.json ? [] : [`issue ${told.action}: ${told.url}`]),
        ];
        return { text: lines.join("\n\n"), exitCode: EXIT_CODES[report.outcome] };
      } catch (error) {
        if (error instanceof UserError && tracker) await tellFailure(stack, error, tracker, world);
        throw error;
      }
    },
  },
};

async function checked(stack: string, world: RepairWorld): Promise<DriftReport> {
  const found = await checkDrift(stack, world);
  try {
    await audit(found, world);
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

async function tellFailure(
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

function realWorld(): RepairWorld {
  const identity = identifyHere();
  // Standard output is the report's alone.
  const say = (line: string) => process.stderr.write(`${line}\n`);
  return {
    pulumi: pulumiWithOwnLocks,
    openServer,
    fetch,
    now: () => new Date(),
    who: identity.who,
    say,
    async openIncident(incident) {
      const { openIncident } = await import("../../reports/incidents/book.ts");
      return await openIncident(incident, { now: new Date() });
    },
    async confirm(question) {
      if (!process.stdin.isTTY) {
        throw new UserError(
          "expected somebody at a terminal to agree, got none; read the plan above and add --yes",
        );
      }
      const terminal = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return /^y(es)?$/i.test((await terminal.question(`${question} (y/N) `)).trim());
      } finally {
        terminal.close();
      }
    },
    exclusively: (server, stack, work) => underLock(server, { stack, identity, say }, work),
  };
}

interface LockOptions {
  readonly stack: string;
  readonly identity: ReturnType<typeof identifyHere>;
  readonly say: (line: string) => void;
}

async function underLock<T>(server: Server, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { stack, identity, say } = options;
  const { lock } = await takeLock(server, { stack, identity, isAlive, why: "repair of drift" });
  const timer = setInterval(() => {
    lock.renew().catch((error: unknown) => say(`the lock could not be renewed: ${(error as Error).message}`));
  }, RENEW_SECONDS * 1000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    await lock.release().catch((error: unknown) => {
      say(`the lock could not be released: ${(error as Error).message}`);
    });
  }
}

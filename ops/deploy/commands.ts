import { upgradedServices } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import {
  onlyStack,
  readArguments,
  stackName,
  type Command,
  type Commands,
  type Outcome,
} from "../command.ts";
import { realEffects } from "../effects.ts";
import { StateLocked } from "../engine/state-lock.ts";
import { LockRefusal } from "../server/lock.ts";
import { untilStopped } from "../terminal.ts";
import { buildImages } from "./build-images.ts";
import { deploy } from "./deploy.ts";
import { showHistory, unlock } from "./history-commands.ts";
import { pinImages } from "./image-commands.ts";
import { promote } from "./promote.ts";
import { EXIT, parts } from "./release-progress.ts";
import { rollback } from "./rollback.ts";
import { realOperator, type Operator } from "./session.ts";
import { upgrade } from "./upgrade.ts";

export const commands: Commands = {
  deploy: {
    usage: `npm run deploy -- <stack> [--only ${parts.join("|")}] [--plan <folder>] [--emergency --reason "…"] [--yes]`,
    summary: "checks, plans, updates, verifies and records a release; rolls back a failed one",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        only: { type: "string" },
        plan: { type: "string" },
        emergency: { type: "boolean", default: false },
        reason: { type: "string", default: "" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { plan, emergency, yes } = values;
      const only = parts.find((part) => part === values.only);
      const reason = values.reason.trim();
      if (values.only !== only)
        throw misused(
          this,
          `--only: expected one of ${parts.join(", ")}, got ${JSON.stringify(values.only)}`,
        );
      if (emergency && reason === "") throw misused(this, '--emergency needs a reason: add --reason "…"');
      return await operating((operator) => deploy({ stack, only, plan, emergency, reason, yes }, operator));
    },
  },

  rollback: {
    usage: 'npm run rollback -- <stack> [--to <release>] --reason "…" [--with-data | --data-stays] [--yes]',
    summary:
      "restores an earlier release; data stays as it is, or with --with-data comes back as it was before the later release",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        to: { type: "string" },
        reason: { type: "string", default: "" },
        "data-stays": { type: "boolean", default: false },
        "with-data": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const reason = values.reason.trim();
      if (reason === "") throw misused(this, 'a rollback needs a reason: add --reason "…"');
      const to = releaseNumber(this, "--to", values.to);
      const { yes, "data-stays": dataStays, "with-data": withData } = values;
      if (dataStays && withData)
        throw misused(this, "expected one of --with-data and --data-stays, got both");
      const request = { stack, to, reason, yes, dataStays, withData };
      return await operating((operator) => rollback(request, operator));
    },
  },

  upgrade: {
    usage: `npm run upgrade -- <stack> ${upgradedServices.join("|")} <version> [--yes]`,
    summary: "takes a database to its next version, and back where its counts differ",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [service, version, ...rest] = positionals.slice(1);
      if (service === undefined || version === undefined || rest.length > 0)
        throw misused(
          this,
          `expected a database and its next version, such as qdrant 1.20.0, got ${positionals.slice(1).join(" ") || "none"}`,
        );
      return await operating((operator) => upgrade({ stack, service, version, yes: values.yes }, operator));
    },
  },

  promote: {
    usage: "npm run promote -- <from> <to>",
    summary: "writes the verified images of one stack into the settings of another",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const [from, to, ...rest] = positionals.map(stackName);
      if (from === undefined || to === undefined || rest.length > 0 || from === to)
        throw misused(
          this,
          `expected two stacks, such as staging prod, got ${positionals.join(" ") || "none"}`,
        );
      return await operating((operator) => promote({ from, to }, operator));
    },
  },

  images: {
    usage: "npm run images -- build|pin <stack>",
    summary: "builds and pushes the images of TechnicIA's own services; pin replaces all tags by digests",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const [action, ...stacks] = positionals;
      const work = action === "build" ? buildImages : action === "pin" ? pinImages : undefined;
      if (!work) throw misused(this, `expected build or pin, got ${action ?? "nothing"}`);
      const stack = onlyStack(this.usage, stacks);
      return await operating((operator) => work(stack, operator));
    },
  },

  history: {
    usage: "npm run history -- <stack> [<release>] [--json]",
    summary: "prints who did what when, or everything about one release",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [number, ...rest] = positionals.slice(1);
      if (rest.length > 0) throw misused(this, `expected one release, got ${rest.length + 1}`);
      const release = releaseNumber(this, "release", number);
      return await operating((operator) => showHistory({ stack, release, json: values.json }, operator));
    },
  },

  unlock: {
    usage: 'npm run unlock -- <stack> --holder <name> [--force --reason "…"]',
    summary: "releases the deployment lock of a dead command",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        holder: { type: "string" },
        force: { type: "boolean", default: false },
        reason: { type: "string", default: "" },
      });
      const stack = onlyStack(this.usage, positionals);
      const { holder, force } = values;
      const reason = values.reason.trim();
      if (holder === undefined) throw misused(this, "name the lock's holder: add --holder <name>");
      if (force && reason === "") throw misused(this, '--force needs a reason: add --reason "…"');
      return await operating((operator) => unlock({ stack, holder, force, reason }, operator));
    },
  },
};

function releaseNumber(command: Command, what: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw misused(command, `${what}: expected the number of a release, got ${JSON.stringify(text)}`);
}

export function misused({ usage }: Command, problem: string): UserError {
  return new UserError(`${problem}\nusage: ${usage}`);
}

/** Runs the work; an interrupted one ends what it began, and records that. */
export async function operating(work: (operator: Operator) => Promise<Outcome>): Promise<Outcome> {
  return await untilStopped(async (stop) => {
    try {
      return await work(realOperator(realEffects(stop)));
    } catch (error) {
      if (error instanceof LockRefusal || error instanceof StateLocked)
        return { text: error.message, exitCode: EXIT.refused };
      throw error;
    }
  });
}

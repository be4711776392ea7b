import { readFile, writeFile } from "node:fs/promises";

import { preflight } from "../checks/preflight.ts";
import { verify } from "../checks/verify.ts";
import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { realEffects, type Effects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { readPlanInputs } from "../preview/plan-inputs.ts";
import { renderPreview } from "../preview/markdown.ts";
import { checkPlan, planFile } from "../preview/plan.ts";
import { previewStack } from "../preview/preview.ts";
import { resume } from "../engine/resume.ts";
import { StateLocked } from "../engine/state-lock.ts";
import { UserError } from "../../common/user-error.ts";
import { showHistory, unlock } from "./history-commands.ts";
import { deploy } from "./deploy.ts";
import { pinImages } from "./pin-images.ts";
import { LockRefusal } from "../server/lock.ts";
import type { Operator } from "./operator.ts";
import { promote } from "./promote.ts";
import { rollback } from "./rollback.ts";
import { EXIT, steps, type Step } from "./release-progress.ts";
import { settingsFile } from "./settings-file.ts";

export const commands: Commands = {
  deploy: {
    usage: `npm run deploy -- <stack> [--only ${steps.join("|")}] [--plan <folder>] [--emergency --reason "…"] [--yes]`,
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        only: { type: "string" },
        plan: { type: "string" },
        emergency: { type: "boolean", default: false },
        reason: { type: "string", default: "" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { only, plan, emergency, yes } = values;
      const reason = values.reason.trim();
      if (only !== undefined && !isStep(only))
        throw wrong("--only", steps.join(", "), JSON.stringify(only), this.usage);
      if (emergency && reason === "")
        throw wrong("--emergency", 'why, as --reason "…"', "nothing", this.usage);
      return await operating((operator) => deploy({ stack, only, plan, emergency, reason, yes }, operator));
    },
  },

  rollback: {
    usage: 'npm run rollback -- <stack> [--to <release>] --reason "…" [--yes]',
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        to: { type: "string" },
        reason: { type: "string", default: "" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const reason = values.reason.trim();
      if (reason === "") throw wrong("--reason", "why, in a few words", "nothing", this.usage);
      if (values.to !== undefined && !/^[1-9]\d*$/.test(values.to))
        throw wrong("--to", "the number of a release", JSON.stringify(values.to), this.usage);
      const to = values.to === undefined ? undefined : Number(values.to);
      return await operating((operator) => rollback({ stack, to, reason, yes: values.yes }, operator));
    },
  },

  promote: {
    usage: "npm run promote -- <from> <to>",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const [from, to, ...rest] = positionals;
      if (from === undefined || to === undefined || rest.length > 0 || from === to)
        throw wrong(
          "promote",
          "two stacks, such as staging prod",
          positionals.join(" ") || "none",
          this.usage,
        );
      return await operating((operator) => promote({ from, to }, operator));
    },
  },

  images: {
    usage: "npm run images -- pin <stack>",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const [action, ...stacks] = positionals;
      if (action !== "pin") throw wrong("images", "pin", action ?? "nothing", this.usage);
      const stack = onlyStack(this.usage, stacks);
      return await operating((operator) => pinImages(stack, operator));
    },
  },

  history: {
    usage: "npm run history -- <stack> [--json]",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      return await operating((operator) => showHistory({ stack, json: values.json }, operator));
    },
  },

  unlock: {
    usage: 'npm run unlock -- <stack> --holder <name> [--force --reason "…"]',
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        holder: { type: "string" },
        force: { type: "boolean", default: false },
        reason: { type: "string", default: "" },
      });
      const stack = onlyStack(this.usage, positionals);
      const { holder, force } = values;
      const reason = values.reason.trim();
      if (holder === undefined) throw wrong("--holder", "who holds the lock", "nothing", this.usage);
      if (force && reason === "") throw wrong("--force", 'why, as --reason "…"', "nothing", this.usage);
      return await operating((operator) => unlock({ stack, holder, force, reason }, operator));
    },
  },
};

function isStep(name: string): name is Step {
  return (steps as readonly string[]).includes(name);
}

function wrong(what: string, expected: string, got: string, usage: string): UserError {
  return new UserError(`${what}: expected ${expected}, got ${got}\nusage: ${usage}`);
}

/** An interrupted command ends what it began, and records that. */
async function operating(work: (operator: Operator) => Promise<Outcome>): Promise<Outcome> {
  return await untilStopped(async (stop) => {
    try {
      return await work(operatorOf(realEffects(stop)));
    } catch (error) {
      if (error instanceof LockRefusal || error instanceof StateLocked)
        return { text: error.message, exitCode: EXIT.refused };
      throw error;
    }
  });
}

function operatorOf(effects: Effects): Operator {
  const { pulumi, git } = effects;
  return {
    ...effects,
    preflight,
    verify,
    resume: (stack) => resume(stack, pulumi),
    async makePlan(stack, folder) {
      const world = { ...effects, environment: process.env };
      const report = await previewStack({ stack, out: folder, refresh: false }, world);
      const plan = { file: planFile(folder), reviewed: false, refreshed: false };
      return { plan, text: renderPreview(report), failure: report.failure };
    },
    async checkPlan(stack, folder) {
      const checked = await checkPlan(
        folder,
        await readPlanInputs({ stack, without: folder }, { pulumi, git }),
      );
      if (!checked.fits) return { changed: checked.changed };
      return { plan: { file: checked.file, reviewed: true, refreshed: checked.manifest.refreshed } };
    },
    readSettingsFile: (stack) => readFile(settingsFile(stack), "utf8"),
    // Written in place: the file may be one that another is mounted over, which cannot be replaced.
    writeSettingsFile: (stack, text) => writeFile(settingsFile(stack), text),
  };
}

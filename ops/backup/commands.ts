import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Command, type Commands, type Outcome } from "../command.ts";
import { realEffects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { makeAdministrator } from "./administrator.ts";
import { drillStack, makeSet } from "./backup.ts";
import { listSets } from "./listing.ts";
import { checkSets, pruneSets } from "./prune.ts";
import { addSecondPassword } from "./second-password.ts";
import { undeleteSets } from "./undelete-command.ts";
import { parts, type Part } from "./program.ts";
import { restoreStack } from "./restore.ts";
import type { BackupWorld } from "./world.ts";

export const commands: Commands = {
  backup: {
    usage: "npm run backup -- <stack> [--accept-smaller | --administrator | --second-password]",
    summary:
      "makes a set of backups now, reads it back and prints it; or makes and prints the administrator's key, or a second password",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        "accept-smaller": { type: "boolean", default: false },
        administrator: { type: "boolean", default: false },
        "second-password": { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { administrator, "accept-smaller": acceptSmaller, "second-password": second } = values;
      if ([acceptSmaller, administrator, second].filter(Boolean).length > 1)
        throw misused(
          this,
          "expected one of --accept-smaller, --administrator and --second-password, got several",
        );
      return await inWorld((world) => {
        if (administrator) return makeAdministrator(stack, world);
        return second ? addSecondPassword(stack, world) : makeSet({ stack, acceptSmaller }, world);
      });
    },
  },

  backups: {
    usage:
      "npm run backups -- <stack> [--json | --check [--read-data] | --prune [--yes] | --undelete [--as-of <time>] [--yes]]",
    summary:
      "lists the sets of backups, what the next prune removes and what they cost; --check reads them, --prune removes old ones, --undelete brings back deleted ones",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        "read-data": { type: "boolean", default: false },
        prune: { type: "boolean", default: false },
        undelete: { type: "boolean", default: false },
        "as-of": { type: "string" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { json, check, "read-data": readData, prune, undelete, yes } = values;
      if ([json, check, prune, undelete].filter(Boolean).length > 1)
        throw misused(this, "expected one of --json, --check, --prune and --undelete, got several");
      if (readData && !check) throw misused(this, "--read-data belongs to --check");
      if (values["as-of"] !== undefined && !undelete) throw misused(this, "--as-of belongs to --undelete");
      const until = momentOf(this, values["as-of"]);
      return await inWorld((world) => {
        if (check) return checkSets({ stack, readData }, world);
        if (prune) return pruneSets({ stack, yes }, world);
        return undelete ? undeleteSets({ stack, until, yes }, world) : listSets({ stack, json }, world);
      });
    },
  },

  restore: {
    usage: `npm run restore -- <stack> [--set <id>] [--only ${parts.join("|")}] [--keep-nothing] [--undo] [--yes]`,
    summary: "brings a set's data back into the running services; --undo takes the last restore back",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        set: { type: "string" },
        only: { type: "string" },
        "keep-nothing": { type: "boolean", default: false },
        undo: { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { set, undo, yes, "keep-nothing": keepNothing } = values;
      const only = partOf(this, values.only);
      requireSetId(this, set);
      if (undo && (set !== undefined || only !== undefined || keepNothing))
        throw misused(
          this,
          "--undo takes the last restore back as a whole: leave out --set, --only and --keep-nothing",
        );
      return await inWorld((world) => restoreStack({ stack, set, only, keepNothing, undo, yes }, world));
    },
  },

  drill: {
    usage: "npm run drill -- <stack>",
    summary: "rehearses the restore of the newest set in containers of its own, and removes them",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const stack = onlyStack(this.usage, positionals);
      return await inWorld((world) => drillStack(stack, world));
    },
  },
};

function partOf(command: Command, text: string | undefined): Part | undefined {
  const part = parts.find((one) => one === text);
  if (part === text) return part;
  throw misused(command, `--only: expected one of ${parts.join(", ")}, got ${JSON.stringify(text)}`);
}

/** With a time zone: the operator's may be another than the storage's. */
function momentOf(command: Command, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const moment = new Date(text);
  if (/(Z|[+-]\d\d:\d\d)$/.test(text) && moment.getTime() < Date.now()) return moment;
  throw misused(
    command,
    `--as-of: expected a time that has passed, such as 2026-11-27T09:00:00Z, got ${JSON.stringify(text)}`,
  );
}

/** @throws UserError for what cannot be the beginning of a set's id */
export function requireSetId(command: Pick<Command, "usage">, set: string | undefined): void {
  if (set === undefined || /^[0-9a-f]{8,64}$/.test(set)) return;
  throw misused(
    command,
    `--set: expected the id of a set, 8 digits of it or more, got ${JSON.stringify(set)}`,
  );
}

function misused({ usage }: Pick<Command, "usage">, problem: string): UserError {
  return new UserError(`${problem}\nusage: ${usage}`);
}

async function inWorld(work: (world: BackupWorld) => Promise<Outcome>): Promise<Outcome> {
  return await untilStopped((stop) =>
    work({ ...realEffects(stop), fetch: systemFetch, variables: process.env }),
  );
}

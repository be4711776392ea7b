import { realEffects } from "../effects.ts";
import { readArguments, stackName, type Command, type Commands } from "../command.ts";
import { untilStopped } from "../terminal.ts";
import { UserError } from "../../common/user-error.ts";
import { listTasks, readScanned } from "./list.ts";
import { recordDone } from "./done.ts";

export const commands: Commands = {
  tasks: {
    usage: 'npm run tasks -- <stack> [--json] | done <task> [--comment "…"]',
    summary: "lists the recurring tasks, those that are due first; done records one that a person has done",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        comment: { type: "string" },
      });
      const [given, action, task, ...others] = positionals;
      if (given === undefined)
        throw misused(this, "expected the name of one stack (test, staging, prod), got 0");
      const stack = stackName(given);
      const { json, comment } = values;
      if (action === undefined) {
        if (comment !== undefined)
          throw misused(this, "--comment: expected done <task> with it, got no task");
        return await untilStopped((stop) =>
          listTasks({ stack, json }, { ...realEffects(stop), readScanned }),
        );
      }
      if (action !== "done" || task === undefined || others.length > 0)
        throw misused(
          this,
          `expected done and one task, got ${JSON.stringify(positionals.slice(1).join(" "))}`,
        );
      if (json) throw misused(this, "--json: expected it without done, got both");
      return await untilStopped((stop) =>
        recordDone({ stack, task, comment: (comment ?? "").trim() }, realEffects(stop)),
      );
    },
  },
};

function misused({ usage }: Command, problem: string): UserError {
  return new UserError(`${problem}\nusage: ${usage}`);
}

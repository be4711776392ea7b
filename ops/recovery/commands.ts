import { onlyStack, readArguments, type Commands } from "../command.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { realOperator } from "../deploy/session.ts";
import { realEffects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { requireSetId } from "../backup/commands.ts";
import { recoverStack } from "./recover.ts";

export const commands: Commands = {
  recover: {
    usage: "npm run recover -- <stack> [--set <id>] [--state-lost] [--yes]",
    summary:
      "sets a lost or reinstalled server up again, with the state or without, and brings the newest set of backups back",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        set: { type: "string" },
        "state-lost": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { set, yes, "state-lost": stateLost } = values;
      requireSetId(this, set);
      return await untilStopped((stop) => {
        const effects = realEffects(stop);
        const world = { ...effects, fetch: systemFetch, variables: process.env };
        return recoverStack({ stack, set, stateLost, yes }, { operator: realOperator(effects), world });
      });
    },
  },
};

import { onlyStack, readArguments, type Commands } from "../command.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { realOperator } from "../deploy/session.ts";
import { realEffects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { recoverStack } from "./recover.ts";

export const commands: Commands = {
  recover: {
    usage: "npm run recover -- <stack> [--set <id>] [--yes]",
    summary:
      "sets a lost or reinstalled server up again and brings the newest set of backups back, step by step",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        set: { type: "string" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { set, yes } = values;
      return await untilStopped((stop) => {
        const effects = realEffects(stop);
        const world = { ...effects, fetch: systemFetch, variables: process.env };
        return recoverStack({ stack, set, yes }, { operator: realOperator(effects), world });
      });
    },
  },
};

import { onlyStack, readArguments, type Commands } from "../command.ts";
import { misused, operating } from "../deploy/commands.ts";
import { maintain } from "./maintain.ts";

export const commands: Commands = {
  maintain: {
    usage: 'npm run maintain -- <stack> [--server <name>] [--emergency --reason "…"] [--yes]',
    summary:
      "upgrades the server's packages and Docker, reboots it where needed, verifies and records that; of several, one that --server names, whose work the others do meanwhile",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        server: { type: "string" },
        emergency: { type: "boolean", default: false },
        reason: { type: "string", default: "" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { emergency, yes, server: name } = values;
      const reason = values.reason.trim();
      if (emergency && reason === "") throw misused(this, '--emergency needs a reason: add --reason "…"');
      return await operating((operator) => maintain({ stack, name, emergency, reason, yes }, operator));
    },
  },
};

import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Commands } from "../command.ts";
import { inWorld } from "../monitoring/world.ts";
import { openGithub } from "../vendors/github.ts";
import type { ValidationWorld } from "./validate.ts";

export const commands: Commands = {
  validate: {
    usage: "npm run validate -- <stack> [--json] [--propose]",
    summary:
      "judges the first day and the first week of each release against the one before, and records that on the server and in docs/deployment-tracking.md (French)",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        propose: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      // The Markdown parser takes long to load.
      const [{ validate }, { writeValidations }, { proposing }] = await Promise.all([
        import("./validate.ts"),
        import("../documents/validation-rows.ts"),
        import("../documents/proposal.ts"),
      ]);
      if (values.json && values.propose)
        throw new UserError(`--propose: expected it without --json, got both\nusage: ${this.usage}`);
      const github = values.propose ? openGithub(process.env) : undefined;
      const writeRows: ValidationWorld["writeRows"] = (name, records) => writeValidations(name, records);
      return await proposing(github, () =>
        inWorld((world) => validate({ stack, json: values.json }, { ...world, writeRows })),
      );
    },
  },
};

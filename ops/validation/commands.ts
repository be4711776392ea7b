import { onlyStack, readArguments, type Commands } from "../command.ts";
import { inWorld } from "../monitoring/world.ts";

export const commands: Commands = {
  validate: {
    usage: "npm run validate -- <stack> [--json]",
    summary:
      "judges the first day and the first week of each release against the one before, and records that on the server and in docs/deployment-tracking.md (French)",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      // The Markdown parser takes long to load.
      const [{ validate }, { writeValidations }] = await Promise.all([
        import("./validate.ts"),
        import("../documents/validation-rows.ts"),
      ]);
      return await inWorld((world) =>
        validate(
          { stack, json: values.json },
          { ...world, writeRows: (...rows) => writeValidations(...rows) },
        ),
      );
    },
  },
};

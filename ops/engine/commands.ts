import { onlyStack, readArguments, type Commands } from "../command.ts";
import { pulumiOnPath } from "./cli.ts";
import { forgetReinstalled } from "./reinstalled.ts";
import { resume } from "./resume.ts";

export const commands: Commands = {
  resume: {
    usage: "npm run resume -- <stack> [--reinstalled]",
    summary: "resolves what a killed run left pending, or removes a lost installation from the state",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, { reinstalled: { type: "boolean" } });
      const stack = onlyStack(this.usage, positionals);
      if (values.reinstalled === true) {
        const names = await forgetReinstalled(stack, pulumiOnPath);
        const text = `removed ${names.length} resources of the lost installation from the state: ${names.join(", ")}
now set the server up again: npx pulumi up --stack ${stack}`;
        return { text, exitCode: 0 };
      }
      const { adopted, forgotten, refreshed } = await resume(stack, pulumiOnPath);
      const lines = [
        ...adopted.map((name) => `added to the state: ${name}`),
        ...forgotten.map((name) => `was not created, or can safely be created again: ${name}`),
        ...refreshed.map((name) => `refreshed: ${name}`),
      ];
      return { text: lines.length === 0 ? "nothing was left pending" : lines.join("\n"), exitCode: 0 };
    },
  },
};

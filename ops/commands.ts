/** Commands on a stack's secrets, outputs and state. */
import { onlyStack, readArguments, type Commands } from "./command.ts";
import { pulumiOnPath } from "./engine/cli.ts";
import { forgetReinstalled } from "./engine/reinstalled.ts";
import { resume } from "./engine/resume.ts";
import { initializeSecrets, reportSecrets } from "./secrets.ts";
import { readStatus, renderStatus } from "./status.ts";

export const commands: Commands = {
  secrets: {
    usage: "npm run secrets -- <stack> [--init] [--config-file <file>]",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        init: { type: "boolean" },
        "config-file": { type: "string" },
      });
      const request = { stack: onlyStack(this.usage, positionals), configFile: values["config-file"] };
      const act = values.init === true ? initializeSecrets : reportSecrets;
      const { text, complete } = await act(request, pulumiOnPath);
      return { text, exitCode: complete ? 0 : 1 };
    },
  },

  status: {
    usage: "npm run status -- <stack> [--json]",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, { json: { type: "boolean" } });
      const outputs = await readStatus(onlyStack(this.usage, positionals), pulumiOnPath);
      const text = values.json === true ? JSON.stringify(outputs, null, 2) : renderStatus(outputs);
      return { text, exitCode: 0 };
    },
  },

  resume: {
    usage: "npm run resume -- <stack> [--reinstalled]",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, { reinstalled: { type: "boolean" } });
      const stack = onlyStack(this.usage, positionals);
      if (values.reinstalled === true) {
        const names = await forgetReinstalled(stack, pulumiOnPath);
        const text = `${names.length} resources stood on the lost installation and left the state: ${names.join(", ")}
now set the server up again: npx pulumi up --stack ${stack}`;
        return { text, exitCode: 0 };
      }
      const { adopted, forgotten, refreshed } = await resume(stack, pulumiOnPath);
      const lines = [
        ...adopted.map((name) => `taken into the state: ${name}`),
        ...forgotten.map((name) => `was not made, or is made again safely: ${name}`),
        ...refreshed.map((name) => `read anew: ${name}`),
      ];
      return { text: lines.length === 0 ? "nothing was left pending" : lines.join("\n"), exitCode: 0 };
    },
  },
};

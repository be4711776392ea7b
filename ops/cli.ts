import { parseArgs } from "node:util";
import { pulumiOnPath } from "./pulumi.ts";
import { initializeSecrets, reportSecrets } from "./secrets.ts";
import { resume } from "./resume.ts";
import { readStatus, renderStatus } from "./status.ts";
import { UserError } from "./user-error.ts";

const USAGE = `usage:
  npm run secrets -- <stack> [--init] [--config-file <file>]
  npm run status -- <stack> [--json]
  npm run resume -- <stack>`;

interface Outcome {
  readonly text: string;
  readonly exitCode: number;
}

type Action = (args: readonly string[]) => Promise<Outcome>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async secrets(args) {
    const { values, positionals } = read(() =>
      parseArgs({
        args: [...args],
        allowPositionals: true,
        options: { init: { type: "boolean" }, "config-file": { type: "string" } },
      }),
    );
    const request = { stack: onlyStack(positionals), configFile: values["config-file"] };
    const run = values.init === true ? initializeSecrets : reportSecrets;
    const { text, complete } = await run(request, pulumiOnPath);
    return { text, exitCode: complete ? 0 : 1 };
  },

  async resume(args) {
    const { positionals } = read(() => parseArgs({ args: [...args], allowPositionals: true, options: {} }));
    const { adopted, forgotten } = await resume(onlyStack(positionals), pulumiOnPath);
    const lines = [
      ...adopted.map((name) => `taken into the state: ${name}`),
      ...forgotten.map((name) => `was not made, or is made again safely: ${name}`),
    ];
    return { text: lines.length === 0 ? "nothing was left pending" : lines.join("\n"), exitCode: 0 };
  },

  async status(args) {
    const { values, positionals } = read(() =>
      parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: "boolean" } } }),
    );
    const outputs = await readStatus(onlyStack(positionals), pulumiOnPath);
    return {
      text: values.json === true ? JSON.stringify(outputs, null, 2) : renderStatus(outputs),
      exitCode: 0,
    };
  },
};

function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n${USAGE}`);
  }
}

function onlyStack(positionals: readonly string[]): string {
  const [stack, ...rest] = positionals;
  if (stack === undefined || rest.length > 0) {
    throw new UserError(
      `expected the name of one stack (test, staging, prod), got ${positionals.length}\n${USAGE}`,
    );
  }
  return stack;
}

try {
  const [name = "", ...args] = process.argv.slice(2);
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (!action)
    throw new UserError(`expected secrets, status or resume, got ${JSON.stringify(name)}\n${USAGE}`);
  const { text, exitCode } = await action(args);
  process.stdout.write(`${text}\n`);
  process.exitCode = exitCode;
} catch (error) {
  process.stderr.write(
    `${error instanceof UserError ? error.message : ((error as Error).stack ?? String(error))}\n`,
  );
  process.exitCode = 1;
}

/** What every operator's command is made of. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

import { UserError } from "../common/user-error.ts";
import { quoteVisibly } from "../common/visible-text.ts";
import { NAMESPACE as PROJECT } from "../secrets/catalog.ts";
import { renderTable } from "./terminal.ts";

export interface Outcome {
  /** Printed on standard output. */
  readonly text: string;
  readonly exitCode: number;
}

export interface Command {
  /** Such as `npm run status -- <stack> [--json]`. */
  readonly usage: string;

  /** One line: what it does. */
  readonly summary: string;

  /** A failure that the user can fix is a `UserError`. */
  run(args: readonly string[]): Promise<Outcome>;
}

export type Commands = Readonly<Record<string, Command>>;

/** Reads a command line; the failure of a wrong one shows the usage. */
export function readArguments<Options extends ParseArgsOptionsConfig>(
  usage: string,
  args: readonly string[],
  options: Options,
  allowPositionals = true,
) {
  try {
    return parseArgs({ args: [...args], allowPositionals, options });
  } catch (error) {
    throw new UserError(`${(error as Error).message}\nusage: ${usage}`);
  }
}

export function onlyStack(usage: string, positionals: readonly string[]): string {
  const [stack, ...rest] = positionals;
  if (stack === undefined || rest.length > 0) {
    throw new UserError(
      `expected the name of one stack (test, staging, prod), got ${positionals.length}\nusage: ${usage}`,
    );
  }
  return stackName(stack);
}

/** What Pulumi calls the only organisation of a state in a file or at S3. */
const NO_ORGANISATION = "organization";

/**
 * The name of a stack as the settings file has it, also where it is given with organisation and project. An empty one would be the stack that
 * happens to be selected.
 */
export function stackName(given: string): string {
  const parts = given.split("/");
  const name = parts.at(-1) ?? "";
  const [organisation] = parts.length > 1 ? parts : [NO_ORGANISATION];
  const [, project] = parts.length === 3 ? parts : [undefined, PROJECT];
  const isName = (part: string) => /^(?!\.+$)[\w.-]{1,100}$/.test(part);
  if (parts.length > 3 || !parts.every(isName)) {
    throw new UserError(
      `stack: expected a name of letters, digits, -, _ and ., such as test, got ${quoteVisibly(given)}; pulumi stack ls lists yours`,
    );
  }
  if (project !== PROJECT) {
    throw new UserError(
      `stack: expected one of the project ${PROJECT}, got ${given}; give its name alone, and pulumi stack ls lists yours`,
    );
  }
  if (organisation !== NO_ORGANISATION) {
    throw new UserError(
      `stack: expected a name without its organisation, got ${given}; say once which one is yours, with pulumi org set-default ${organisation}, and then ${name} alone`,
    );
  }
  return name;
}

/** Scripts of package.json that are no operator's commands. */
const OTHER_SCRIPTS: readonly (readonly [name: string, args: string, summary: string])[] = [
  ["start", "[--stack <stack>]", "deploys the whole system in a rehearsal on this machine"],
  ["rehearsal", "<pulumi arguments>", "runs Pulumi in the rehearsal"],
  ["rehearsal:exec", "<command>", "runs any other command in the rehearsal"],
  ["rehearsal:stop", "", "removes the rehearsal, except its caches"],
  ["test", "[long] [<file>…]", "runs the tests"],
  ["settings", "[--check]", "generates the settings in Pulumi.yaml and docs/settings.md from their schema"],
  ["bench", "", "measures how long the commands take"],
  ["check", "", "checks formatting, lint rules and types"],
  ["fix", "", "formats the files and fixes lint findings"],
];

const HEADINGS = ["npm run …", "Arguments (after --)", "What it does"];

/** The command that prints the table of all others. */
export function helpCommand(commands: Commands): Command {
  return {
    usage: "npm run help [-- --markdown]",
    summary: "prints this table",
    async run(args) {
      const { values } = readArguments(this.usage, args, { markdown: { type: "boolean" } }, false);
      const all = { ...commands, help: this };
      return {
        text: values.markdown === true ? await renderMarkdown(all) : renderCommands(all),
        exitCode: 0,
      };
    },
  };
}

export function renderCommands(commands: Commands): string {
  return renderTable({ headings: HEADINGS, rows: rowsOf(commands) });
}

/** The table as docs/commands.md has it, in the formatting that `npm run fix` gives. */
async function renderMarkdown(commands: Commands): Promise<string> {
  const { formatMarkdown, renderMarkdownTable } = await import("../reports/markdown.ts");
  const code = (text: string) => (text === "" ? "" : `\`${text.replaceAll("|", String.raw`\|`)}\``);
  const rows = rowsOf(commands).map(([name = "", args = "", summary = ""]) => [
    code(name),
    code(args),
    summary,
  ]);
  return (await formatMarkdown("docs/commands.md", renderMarkdownTable(HEADINGS, rows))).trimEnd();
}

function rowsOf(commands: Commands): string[][] {
  return [
    ...Object.entries(commands).map(([name, { usage, summary }]) => [name, argumentsOf(usage), summary]),
    ...OTHER_SCRIPTS.map((row) => [...row]),
  ];
}

function argumentsOf(usage: string): string {
  return usage.replace(/^npm run \S+ ?(\[?)(?:-- )?/, "$1");
}

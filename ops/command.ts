/** What every operator's command is made of. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

import { UserError } from "../common/user-error.ts";

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
  return stack;
}

/** Next values that a person gives: from a file, from standard input, or typed without an echo. Never an argument, which other users of the machine see. */
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { Writable } from "node:stream";

import { UserError } from "../../common/user-error.ts";

/** Values in the order of the names. Several come one a line; a single one may have lines of its own, as a key file. */
export async function readGiven(
  names: readonly string[],
  {
    fromFile,
    input = process.stdin,
  }: { readonly fromFile: string | undefined; readonly input?: NodeJS.ReadStream },
): Promise<readonly string[]> {
  if (fromFile !== undefined) return splitGiven(names, await readWhole(fromFile));
  if (!input.isTTY) return splitGiven(names, await text(input));
  const values: string[] = [];
  for (const name of names) values.push(await ask(name, input));
  return values;
}

export function splitGiven(names: readonly string[], given: string): readonly string[] {
  const whole = given.replace(/(\r?\n)+$/, "");
  const values = names.length === 1 ? [whole] : whole.split(/\r?\n/);
  if (values.length !== names.length || values.includes(""))
    throw new UserError(
      `${names.join(", ")}: expected ${names.length === 1 ? "a value" : `${names.length} values, one a line in this order`}, ` +
        `got ${whole === "" ? "nothing" : `${values.length}`}; give it on standard input, with --from-file <file>, or at the terminal`,
    );
  return values;
}

async function readWhole(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new UserError(`--from-file: expected a file that can be read: ${(error as Error).message}`);
  }
}

async function ask(name: string, input: NodeJS.ReadStream): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true });
  try {
    process.stderr.write(`next value of ${name} (it is not shown): `);
    return await lines.question("");
  } finally {
    process.stderr.write("\n");
    lines.close();
  }
}

/** The first set of backups of a rehearsal, and the first rehearsal of its restore: by the operator's own commands. */
import { UserError } from "../common/user-error.ts";
import { runAsOperator } from "./run-as-operator.ts";
import type { RehearsedStack } from "./stack.ts";

/** Makes what is missing of both. Returns a line for each. */
export async function ensureFirstSet(rehearsed: RehearsedStack): Promise<string[]> {
  const { sets } = JSON.parse(await operate(["backups", rehearsed.stack, "--json"], rehearsed)) as {
    readonly sets: readonly {
      readonly id: string;
      readonly time: string;
      readonly drill: { readonly passed: boolean } | null;
    }[];
  };
  const [newest] = sets;
  const rehearsals = sets.filter(({ drill }) => drill?.passed === true).length;
  const known =
    newest &&
    `${sets.length} sets, the newest ${newest.id.slice(0, 8)} of ${newest.time.slice(0, 19)} UTC; ${rehearsals} rehearsed`;
  if (known !== undefined && rehearsals > 0) return [known];
  const made = known ?? (await operate(["backup", rehearsed.stack], rehearsed));
  // A start that was stopped may have left a set that nobody has rehearsed.
  const drilled = await operate(["drill", rehearsed.stack], rehearsed);
  return [made, drilled].flatMap((said) =>
    said.split("\n").filter((line) => line === known || /^(set |the set |warning: )/.test(line)),
  );
}

async function operate(args: readonly string[], rehearsed: RehearsedStack): Promise<string> {
  const { code, stdout, stderr } = await runAsOperator(["node", "ops/main.ts", ...args], rehearsed);
  if (code !== 0) throw new UserError(`npm run ${args.join(" ")}: ${stderr || stdout}`);
  return stdout;
}

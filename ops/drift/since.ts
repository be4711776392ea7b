/** Since when each difference exists: dates of files, systemd's and Docker's own records, asked in one call. */
import { readFileSync } from "node:fs";

import type { Server } from "../server/connection.ts";
import { identify } from "../../stacks/inventory.ts";
import type { SinceQuestion } from "../../stacks/resource-kinds.ts";
import type { Difference } from "./differences.ts";
import { sinceOfExtra } from "./extra-lines.ts";

const SCRIPT = readFileSync(new URL("since.sh", import.meta.url), "utf8");

/** In the order of the differences; undefined where it is not known. */
export async function readSince(
  differences: readonly Difference[],
  server: Server,
): Promise<(Date | undefined)[]> {
  const questions = differences.map(questionOf);
  const asked = questions.flatMap((question) => (question ? [question.join("\t")] : []));
  if (asked.length === 0) return questions.map(() => undefined);
  const { stdout } = await server.run({
    purpose: "ask since when differences exist",
    script: SCRIPT,
    stdin: `${asked.join("\n")}\n`,
    timeoutSeconds: 60,
  });
  const answers = stdout.split("\n");
  return questions.map((question) => (question ? readSeconds(answers.shift() ?? "") : undefined));
}

function readSeconds(text: string): Date | undefined {
  return /^\d+$/.test(text) ? new Date(Number(text) * 1000) : undefined;
}

function questionOf(difference: Difference): SinceQuestion | undefined {
  return difference.kind === "extra"
    ? sinceOfExtra(difference.what)
    : identify(difference.urn).row.since?.(difference);
}

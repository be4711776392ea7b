/** Our programs on the server: they take words, print one answer as JSON, and say their progress and failures in other lines. */
import type { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "./connection.ts";

export interface ProgramCall<T> {
  /** Follows "could not": `make a set`. */
  readonly purpose: string;
  readonly words: readonly string[];
  readonly answer: z.ZodType<T>;
  readonly timeoutSeconds: number;

  /** Progress. */
  readonly say: (line: string) => void;
}

/** A file on the server that is executed. */
export interface Program {
  readonly path: string;

  /** What is said where it is not there. */
  readonly missing: string;

  /** Lines of bash that run `"$program" "${words[@]}"`. @default as it is */
  readonly start?: string;
}

function scriptOf({ path, missing, start = 'exec "$program" "${words[@]}"' }: Program): string {
  return `
program=${path}
if [ ! -x "$program" ]; then
  echo "${missing}" >&2
  exit 1
fi
mapfile -t words <<<"$WORDS"
${start}`;
}

/** @throws UserError with what the program says when it fails, or where its answer is another version's */
export async function callOnServer<T>(
  server: Pick<Server, "name" | "run">,
  program: Program,
  { purpose, words, answer, timeoutSeconds, say }: ProgramCall<T>,
): Promise<T> {
  const { stdout } = await server.run({
    purpose,
    script: scriptOf(program),
    variables: { WORDS: words.join("\n") },
    timeoutSeconds,
    onLine: (line) => {
      if (!/^[[{]/.test(line)) say(line);
    },
  });
  const read = answer.safeParse(parseJson(stdout));
  if (read.success) return read.data;
  const keys = [...new Set(read.error.issues.map(({ path }) => path.join(".") || "the whole"))];
  throw new UserError(
    `${server.name}: could not ${purpose}: expected the answer of this version of the program, got one with problems in ${keys.join(", ")}; run pulumi up first`,
  );
}

/** The program on the server that lists, deletes and indexes uploaded documents, and what it answers. */
import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";

export const document = z.looseObject({
  id: z.string(),
  title: z.string().nullable(),
  pages: z.number(),
  points: z.number(),
  images: z.number(),
  bytes: z.number(),

  /** When it was indexed last, or uploaded; null where only points are left. */
  at: z.string().nullable(),
  state: z.enum(["ready", "running", "failed", "unknown"]),

  /** What does not fit together. */
  problems: z.array(z.string()),
});

export const documents = z.array(document);

export type UploadedDocument = z.output<typeof document>;

/** Points of the whole collection. */
export const counted = z.looseObject({ points: z.number() });

export const deleted = z.looseObject({
  id: z.string(),
  points: z.number(),
  files: z.number(),
  images: z.number(),
  bytes: z.number(),
});

export const indexed = z.array(
  z.looseObject({
    id: z.string(),
    title: z.string(),
    indexed: z.boolean(),
    before: z.number(),
    points: z.number(),

    /** Why it was not indexed. */
    reason: z.string().nullable(),
  }),
);

const RUN = `
program=/opt/technicia/documents/main.py
if [ ! -x "$program" ]; then
  echo "no files of documents are kept on this server: set documents.enabled to true and deploy" >&2
  exit 1
fi
mapfile -t words <<<"$WORDS"
exec "$program" "\${words[@]}"`;

export interface DocumentsCall<T> {
  /** Follows "could not": `list the documents`. */
  readonly purpose: string;
  readonly words: readonly string[];
  readonly answer: z.ZodType<T>;
  readonly timeoutSeconds: number;

  /** Progress. */
  readonly say: (line: string) => void;
}

/** @throws UserError with what the program says when it fails */
export async function callDocuments<T>(
  server: Pick<Server, "name" | "run">,
  { purpose, words, answer, timeoutSeconds, say }: DocumentsCall<T>,
): Promise<T> {
  const { stdout } = await server.run({
    purpose,
    script: RUN,
    variables: { WORDS: words.join("\n") },
    timeoutSeconds,
    onLine: (line) => {
      if (!/^[[{]/.test(line)) say(line);
    },
  });
  const read = answer.safeParse(parseJson(stdout));
  if (read.success) return read.data;
  throw new UserError(
    `${server.name}: could not ${purpose}: expected the answer of this version of the program, got another one; run pulumi up first`,
  );
}

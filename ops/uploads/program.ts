/** The program on the server that lists, deletes and indexes uploaded documents, and what it answers. */
import { z } from "zod";

import type { Server } from "../server/connection.ts";
import { callOnServer, type Program, type ProgramCall } from "../server/program.ts";

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

const DOCUMENTS: Program = {
  path: "/opt/technicia/documents/main.py",
  missing: "no files of documents are kept on this server: set documents.enabled to true and deploy",
};

/** @throws UserError with what the program says when it fails */
export function callDocuments<T>(server: Pick<Server, "name" | "run">, call: ProgramCall<T>): Promise<T> {
  return callOnServer(server, DOCUMENTS, call);
}

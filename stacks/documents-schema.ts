/** The settings of the documents that visitors upload: whether their files are kept, and for how long those that could not be indexed. */
import { flag, map, whole } from "./setting-types.ts";

export const documents = map({
  enabled: flag().prefault(false).meta({
    description:
      "Whether the PDFs and their images are kept in a volume, which the workflow of the ingestion needs; `services.documentProcessor.enabled` has to be true.",
    example: true,
  }),
  failedDays: whole("days", { least: 1, most: 90 }).prefault(7).meta({
    description:
      "How long the PDF of a failed ingestion is kept for another try, in days; its points and images go within a minute.",
    example: 7,
  }),
}).meta({
  description: "The files of uploaded documents.",
  affects: "document-processor, n8n, backup",
});

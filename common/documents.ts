/** Where the files of uploaded documents are. Plain data: the program, the gateway and the commands read it. */
export const DOCUMENTS = {
  volume: "technicia-documents-data",

  /** Folder in the containers of n8n and of document-processor: one path for both, because they tell each other paths. */
  folder: "/documents",
} as const;

/** Webhooks of our own workflows that commands call on the server; the gateway passes nothing to them. */
export const INNER_WEBHOOKS = ["reindex"] as const;

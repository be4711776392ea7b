/** The settings of n8n's content: where its workflows and credentials are kept as files. */
import { z } from "zod";

import { flag, isFolderInRepository, isRepository, map, optionalMap, text, whole } from "./setting-types.ts";

const repository = optionalMap({
  repository: text(
    "expected the address of a git repository (https://…, ssh://…, git@…:…, or file:///… on this machine), without a password in it",
    isRepository,
  ).meta({ description: "Git repository.", example: "https://github.com/exemple/workflows.git" }),
  commit: text(
    "expected the full hash of a commit, 40 hexadecimal digits, because a branch or tag may move",
    /^[0-9a-f]{40}$/,
  ).meta({ description: "Commit that is used.", example: "0123456789abcdef0123456789abcdef01234567" }),
})
  .meta({
    description: "A git repository at a commit, instead of this project's own files.",
    example: {
      repository: "https://github.com/exemple/workflows.git",
      commit: "0123456789abcdef0123456789abcdef01234567",
    },
  })
  .optional();

export const workflows = map({
  enabled: flag().prefault(false).meta({
    description:
      "Whether a deployment and `npm run workflows` bring these files to n8n; the check of the files works in any case.",
    example: true,
  }),
  folder: text("expected a folder in the project or repository, such as workflows", isFolderInRepository)
    .prefault("workflows")
    .meta({
      description: "Folder with a JSON file for each workflow, and `credentials.yaml`.",
      example: "workflows",
    }),
  source: repository,
  keyDays: whole("days", { least: 2, most: 365 }).prefault(30).meta({
    description:
      "How long a key of n8n's public API is valid, in days; half of that before its end a command makes another.",
    example: 30,
  }),
  webhookSeconds: whole("seconds", { least: 5, most: 600 }).prefault(60).meta({
    description: "How long a webhook may take to be registered after its workflow is published.",
    example: 60,
  }),
}).meta({
  description: "n8n's workflows and credentials as files.",
  affects: "n8n, npm run workflows",
});

export type WorkflowSettings = z.output<typeof workflows>;

/** The settings of what happens to requests to n8n while it restarts. */
import { z } from "zod";

import { flag, list, map, text, whole } from "./setting-types.ts";

const publicPath = text(
  "expected a public path of n8n of plain words, such as /webhook/crm",
  /^(?:\/[A-Za-z0-9_~-]+)+$/,
);

/** What n8n takes to stop and to answer again, in seconds: those who wait since before the drain wait for all of it. */
const RESTART_SECONDS = 10;

export const hold = map({
  enabled: flag().prefault(false).meta({
    description:
      "Whether requests to n8n wait at the gateway while a deployment, a rollback, a restore or an upgrade restarts n8n; otherwise they are answered 503. The gateway's image needs nginx's njs, which the official ones have, except for `slim`.",
    example: true,
  }),
  maxSeconds: whole("seconds", { least: 20, most: 600 }).prefault(60).meta({
    description:
      "How long one request may wait; then it is answered 503. A pause ends by itself after this time when the command that made it no longer lives.",
    example: 60,
  }),
  drainSeconds: whole("seconds", { least: 0, most: 590 }).prefault(20).meta({
    description:
      "How long to wait, before n8n stops, for requests that it is answering. What takes longer has n8n's own 30 s to end.",
    example: 20,
  }),
  exclude: list(publicPath)
    .default([])
    .meta({
      description:
        "Public paths, each with what is below it, that are answered 503 with Retry-After at once, because their callers do not wait.",
      example: ["/webhook/crm"],
    }),
  probes: list(
    text("expected the path of a webhook below /webhook/, without it, such as question", /^[\w~/-]+$/),
  )
    .default([])
    .meta({
      description:
        "Webhooks, by their paths below `/webhook/`, that have to be registered before requests go on; those of `technicia:workflows` are known anyway.",
      example: ["question"],
      affects: "npm run deploy, rollback, restore and upgrade",
    }),
})
  .superRefine(({ maxSeconds, drainSeconds }, context) => {
    const most = maxSeconds - RESTART_SECONDS;
    if (drainSeconds > most)
      context.addIssue({
        code: "custom",
        message: `expected at most ${most}, ${RESTART_SECONDS} s less than maxSeconds, because a request waits for the drain and for n8n's start`,
        path: ["drainSeconds"],
        input: drainSeconds,
      });
  })
  .meta({ description: "Requests to n8n while it restarts.", affects: "gateway" });

export type HoldSettings = z.output<typeof hold>;

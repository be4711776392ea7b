/** One attempt to change what a stack runs, as it is kept on the server. */
import { z } from "zod";

import { check } from "../checks/check.ts";

const timestamp = z.iso.datetime();

export const release = z.strictObject({
  /** 1, 2, 3, … per stack. */
  number: z.number().int().positive(),
  stack: z.string(),
  kind: z.enum(["deploy", "rollback"]),

  /** Commit of the project, with `+` when files differed from it. */
  revision: z.string(),

  /** Service → image with its digest. */
  images: z.record(z.string(), z.string()),

  /** SHA-256 of the stack's settings without secrets. */
  settingsHash: z.string(),

  who: z.string(),

  /** Why: always there for a rollback and an emergency. */
  reason: z.string(),
  emergency: z.boolean(),
  startedAt: timestamp,
  finishedAt: timestamp.optional(),

  /** `running` without an end is a deployment that was killed. */
  outcome: z.enum(["running", "succeeded", "failed", "rolled-back"]),

  /** Release that a rollback put back. */
  restored: z.number().int().positive().optional(),

  preflight: z.array(check),
  verify: z.array(check),

  /** Part (`preflight`, `plan`, `up`, `verify`, `rollback`) → seconds. */
  seconds: z.record(z.string(), z.number()),
});

export type Release = z.output<typeof release>;

/** Who did what when: one line of the audit. */
export const auditEvent = z.strictObject({
  at: timestamp,
  who: z.string(),
  action: z.enum([
    "deploy",
    "rollback",
    "repair",
    "drift",
    "secret",
    "emergency",
    "promote",
    "unlock",
    "resume",
    "incident",
  ]),
  reason: z.string().default(""),

  /** Plain French; never a secret. */
  detail: z.string(),

  /** Number of the release it belongs to. */
  release: z.number().int().positive().optional(),

  /** For `drift`: how many differences there were; 0 is clean. */
  findings: z.number().int().nonnegative().optional(),
});

export type AuditEvent = z.output<typeof auditEvent>;

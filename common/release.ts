/** The records on the server: releases, and the audit. */
import { z } from "zod";

import { check, type Check } from "./check.ts";

/** Folder of the records on the server, root's alone. */
export const RECORDS_FOLDER = "/var/lib/technicia";

const timestamp = z.iso.datetime();

export const release = z.strictObject({
  /** 1, 2, 3, … per stack. */
  number: z.number().int().positive(),
  stack: z.string(),
  kind: z.enum(["deploy", "rollback"]),

  /** Commit of the project, with `+` when files differed from it. */
  revision: z.string(),

  /** Key of the setting `images` → image with its digest, for the services that run; unknown until the first deployment has ended. */
  images: z.record(z.string(), z.string()),

  /** SHA-256 of the stack's settings without secrets. */
  settingsHash: z.string(),

  /** Settings that belong to the images (`services`, `uploadMaxMib`, `timeouts`): a rollback restores them too. */
  settings: z.record(z.string(), z.unknown()).default({}),

  /** SHA-256 of n8n's workflows, which the server keeps in `workflows/`; undefined where the settings leave n8n alone, and where they are not known. */
  workflows: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),

  who: z.string(),

  /** Why: always there for a rollback and an emergency. */
  reason: z.string(),
  emergency: z.boolean(),
  startedAt: timestamp,
  finishedAt: timestamp.optional(),

  /** `running` without an end is a deployment that was killed. */
  outcome: z.enum(["running", "succeeded", "failed", "rolled-back"]),

  /** Release that a rollback restored. */
  restored: z.number().int().positive().optional(),

  /** Id of the set of backups whose data that rollback restored, or was to restore. */
  set: z.string().optional(),

  /** Why it failed, in French. */
  failure: z.string().optional(),

  preflight: z.array(check),

  /** Of this release itself; empty when it was not verified, which is never good. */
  verify: z.array(check),

  /** The time of a rollback; of an automatic one also the checks of the release that it restored. */
  restoredVerify: z.array(check).default([]),

  /**
   * Part (`preflight`, `plan`, `up`, `verify`, `observation`, `data`, `rollback`, `rollbackVerify`) → seconds; `recovery` is the time from the
   * first request of the observation that failed to the last, after which the release before served. Of a release that was slow, or whose requests
   * in the observation did not fail, it begins with what the alert is about, before the alert's own time, and ends once the release before was verified.
   */
  seconds: z.record(z.string(), z.number()),
});

export type Release = z.output<typeof release>;

/** Id of the check of how long a rollback took. */
export const ROLLBACK_TIME = "rollback-time";

/** Begins the detail of the audit's line about a test of the alerts, whose action is `alert-test` where everything arrived, else `alert`. */
export const ALERT_TEST_DETAIL = "test des alertes : ";

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
    "maintenance",
    "backup",
    "restore",
    "drill",
    // Acknowledged or silenced alerts, and tests of which not everything arrived.
    "alert",
    // A test of which everything arrived: the collector on the server reads when it was.
    "alert-test",
    // A task of the operation that a person has done.
    "task",
    // How the first day or the first week of a release was.
    "validation",
    // Workflows or credentials of n8n were pushed.
    "workflows",
    // A server was drained, given work again, or taken out; or its work was taken over because it was down, or as a drill.
    "server",
    "failover",
    // An uploaded document was deleted, or documents were indexed again.
    "document",
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

/** A release that ran, passed its verification, and can be restored. */
export function isGood({ outcome, verify, images }: Release): boolean {
  return (
    outcome === "succeeded" &&
    verify.length > 0 &&
    verify.every((check) => check.outcome !== "failed") &&
    Object.keys(images).length > 0
  );
}

/** Checks of what runs once the release has ended: after an automatic rollback those of the release that was restored. */
export function checksOfCurrent({ outcome, verify, restoredVerify }: Release): readonly Check[] {
  if (outcome !== "rolled-back") return verify;
  return restoredVerify.filter(({ id }) => id !== ROLLBACK_TIME);
}

export function lastGood(releases: readonly Release[], before: number): Release | undefined {
  return releases.findLast((release) => release.number < before && isGood(release));
}

/** A rollback with data that did not end well: the same command goes on with it. */
export function unfinishedRollback(
  releases: readonly Release[],
): { readonly restored: number; readonly set: string } | undefined {
  const { outcome, restored, set } = releases.at(-1) ?? {};
  return outcome === "failed" && restored !== undefined && set !== undefined ? { restored, set } : undefined;
}

/** The release whose images run: the last that succeeded, or the one that an automatic rollback restored. */
export function currentRelease(releases: readonly Release[]): Release | undefined {
  const last = releases.findLast(
    ({ outcome, restored }) => outcome === "succeeded" || restored !== undefined,
  );
  if (last === undefined || last.kind === "rollback" || last.outcome === "succeeded") return last;
  return releases.find(({ number }) => number === last.restored);
}

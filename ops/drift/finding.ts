/** The schema of `npm run drift -- <stack> --json`. */
import { z } from "zod";

import { layers } from "../../stacks/resource-kinds.ts";

export const finding = z.strictObject({
  layer: z.enum(layers),

  /** Name of the resource in the program; of an undeclared DNS record, its name in the zone. */
  resource: z.string(),

  /** Which part of it differs. */
  what: z.string(),

  /** One line each; of a long text only the lines that differ. Secrets are `[secret]`. */
  expected: z.array(z.string()),
  found: z.array(z.string()),

  /** When it changed, where that is known. */
  since: z.iso.datetime().optional(),

  /** What `--repair` does about it. */
  repair: z.string(),

  /** What stops working meanwhile, and for how long; absent when nothing does. */
  interruption: z.string().optional(),
});

export type Finding = z.output<typeof finding>;

/** Something that could not be read, and why: nothing is known about it. */
export const unchecked = z.strictObject({
  what: z.string(),
  reason: z.string(),

  /** The resource of a finding that prevents reading it, such as a service that is gone; it is read again after the repair. */
  because: z.string().optional(),
});
export type Unchecked = z.output<typeof unchecked>;

export const driftReport = z.strictObject({
  stack: z.string(),
  at: z.iso.datetime(),
  seconds: z.number(),

  /** `failed`: something could not be read and no finding explains it. */
  outcome: z.enum(["clean", "drift", "failed"]),
  findings: z.array(finding),
  gaps: z.array(unchecked),
});

export type DriftReport = z.output<typeof driftReport>;

export const EXIT_CODES: Readonly<Record<DriftReport["outcome"], number>> = { clean: 0, drift: 7, failed: 1 };

export function outcomeOf({
  findings,
  gaps,
}: Pick<DriftReport, "findings" | "gaps">): DriftReport["outcome"] {
  if (gaps.some(({ because }) => because === undefined)) return "failed";
  return findings.length > 0 ? "drift" : "clean";
}

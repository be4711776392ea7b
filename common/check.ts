/** What one check of a stack found. Preflight and verification give lists of these; releases keep them. */
import { z } from "zod";

export const check = z.strictObject({
  /** Stable name, such as `ports-outside-v6`. */
  id: z.string(),

  /** In French; the wording of the user's own checklist where it has one. */
  title: z.string(),

  /** `not-checked` says that nothing is known; it never counts as good. */
  outcome: z.enum(["ok", "failed", "not-checked"]),

  /** What was seen, or why nothing was; French, without secrets. */
  detail: z.string(),

  /** Measured figures by name; the unit ends the name: `p95Ms`, `errorRatio`. */
  measures: z.record(z.string(), z.number()).optional(),

  seconds: z.number().optional(),
});

export type Check = z.output<typeof check>;

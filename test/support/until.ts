import { until as untilMet } from "../../common/until.ts";

/** Waits for a condition, or for an answer other than undefined, and says which one never came. */
export function until<Answer>(
  what: string,
  condition: () => Answer | Promise<Answer>,
  limit = 60_000,
): Promise<Exclude<Answer, undefined | false>> {
  const late = () => new Error(`waited ${limit / 1000} s in vain until ${what}`);
  return untilMet(condition, { limit, every: 25, late });
}

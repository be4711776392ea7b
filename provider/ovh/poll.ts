import { until } from "../../common/until.ts";
import { UserError } from "../../common/user-error.ts";
import type { Call } from "../plugin/definition.ts";

export interface WaitOptions {
  readonly call: Pick<Call, "signal" | "timeoutSeconds">;
  /** First pause; pauses grow to twenty times that. */
  readonly pollMs: number;
  readonly limitMs: number;
  /** Message when it took longer. */
  readonly late: () => string;
}

const GROWTH = 1.2;
const LONGEST = 20;

/** Looks repeatedly until there is an answer. */
export function poll<Answer>(
  { call, pollMs, limitMs, late }: WaitOptions,
  look: () => Promise<Answer>,
): Promise<Exclude<Answer, undefined | false>> {
  return until(look, {
    every: pollMs,
    growth: GROWTH,
    longest: pollMs * LONGEST,
    // A longer customTimeouts means that the user accepts a longer wait.
    limit: Math.max(limitMs, (call.timeoutSeconds ?? 0) * 1000),
    late: () => new UserError(late()),
    signal: call.signal,
  });
}

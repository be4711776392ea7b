import { until } from "../../common/until.ts";
import { UserError } from "../../common/user-error.ts";
import type { Call } from "../plugin/definition.ts";

const GROWTH = 1.2;
const LONGEST = 20;

/** Looks repeatedly until there is an answer; `late` is the message when it took longer. */
export function poll<Answer>(
  { call, pace }: { readonly call: Call; readonly pace: { readonly pollMs: number } },
  options: { readonly limitMs: number; readonly late: () => string; readonly look: () => Promise<Answer> },
): Promise<Exclude<Answer, undefined | false>> {
  return until(options.look, {
    every: pace.pollMs,
    growth: GROWTH,
    longest: pace.pollMs * LONGEST,
    // A longer customTimeouts means that the user accepts a longer wait.
    limit: Math.max(options.limitMs, (call.timeoutSeconds ?? 0) * 1000),
    late: () => new UserError(options.late()),
    signal: call.signal,
  });
}

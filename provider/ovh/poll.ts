import { setTimeout as delay } from "node:timers/promises";

import { UserError } from "../../common/user-error.ts";
import type { Call } from "../plugin/definition.ts";

export interface Patience {
  readonly call: Pick<Call, "signal" | "timeoutSeconds">;
  /** First pause; pauses grow to twenty times that. */
  readonly pollMs: number;
  readonly limitMs: number;
  /** What to say when it took longer. */
  readonly late: () => string;
}

const GROWTH = 1.2;
const LONGEST = 20;

/** Looks again and again until there is an answer. */
export async function poll<Answer>(
  { call, pollMs, limitMs, late }: Patience,
  look: () => Promise<Answer | undefined>,
): Promise<Answer> {
  // Whoever allowed the resource more time meant it for the waiting.
  const end = Date.now() + Math.max(limitMs, (call.timeoutSeconds ?? 0) * 1000);
  for (let pause = pollMs; ; pause = Math.min(pause * GROWTH, pollMs * LONGEST)) {
    const answer = await look();
    if (answer !== undefined) return answer;
    if (Date.now() >= end) throw new UserError(late());
    await delay(pause, undefined, { signal: call.signal });
  }
}

/** Whether a command may change a stack now: in its window, or in an emergency. */
import type { Operations } from "../../stacks/environment.ts";
import type { Effects } from "../effects.ts";
import { Refusal } from "./release-progress.ts";
import { renderInstant, windowAt } from "./window.ts";

/** Describes the window; throws a `Refusal` where it is closed and this is no emergency. */
export function checkWindow(
  { stack, emergency }: { readonly stack: string; readonly emergency: boolean },
  { operations, now, say }: Pick<Effects, "now" | "say"> & { readonly operations: Operations },
): string {
  const state = windowAt(operations, now());
  if (state.open) {
    const until = state.until === undefined ? "at any time" : `until ${renderInstant(state.until)}`;
    return `the window of ${stack} is open ${until}`;
  }
  const next = state.next === undefined ? "none within two years" : renderInstant(state.next);
  const closed = `the window of ${stack} is closed, because ${state.why}; next opening: ${next}`;
  if (!emergency)
    throw new Refusal(
      `${closed}\nin an emergency continue with --emergency --reason "…", which is recorded`,
      `fenêtre fermée, prochaine ouverture : ${state.next?.toISOString() ?? "aucune"}`,
    );
  say(`${closed}\ncontinuing (--emergency)`);
  return `${closed}; --emergency overrides it`;
}

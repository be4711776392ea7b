/** Upgrades and reboots that wait for a maintenance, as findings: no update and no repair does them. */
import { maintainCommand } from "../fleet/pending.ts";
import { pendingOf, type Patches } from "../server/patches.ts";
import type { Finding } from "./report.ts";

/** `server`: one of several other than that of the data. */
export function maintenanceFindings(
  { stack, server }: { readonly stack: string; readonly server?: string | undefined },
  patches: Patches,
): Finding[] {
  return pendingOf(patches).map(({ what, expected, found, byHand }) => ({
    layer: "host",
    resource: server === undefined ? "maintenance" : `${server}/maintenance`,
    what,
    expected: [expected],
    found: [...found],
    repair: [
      `nothing automatic: ${maintainCommand(stack, server)} does it inside the window`,
      ...byHand.map((line) => `first ${line}`),
    ].join("; "),
  }));
}

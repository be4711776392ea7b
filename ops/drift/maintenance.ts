/** Upgrades and reboots that wait for a maintenance, as findings: no update and no repair does them. */
import { pendingOf, type Patches } from "../server/patches.ts";
import type { Finding } from "./report.ts";

export function maintenanceFindings(stack: string, patches: Patches): Finding[] {
  return pendingOf(patches).map(({ what, expected, found, byHand }) => ({
    layer: "host",
    resource: "maintenance",
    what,
    expected: [expected],
    found: [...found],
    repair: [
      `nothing automatic: npm run maintain -- ${stack} does it inside the window`,
      ...byHand.map((line) => `first ${line}`),
    ].join("; "),
  }));
}

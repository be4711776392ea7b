/** The server short of memory, disk or time, noisy or attacked: who is told of what, and when. */
import { afterAll, beforeAll, describe, it } from "vitest";

import { decideHost, LAST, leaveHost, LINES, SHORT_OF_EVERYTHING } from "./faults-host.ts";
import { expectTold, named } from "./faults.ts";
import { ensureMonitored, query } from "./monitored.ts";
import { until } from "./rehearsal.ts";

const ROW_MS = 35 * 60_000;

describe("people are told, of nothing else, and of the end", () => {
  beforeAll(ensureMonitored);

  describe("where the server", () => {
    beforeAll(async () => {
      await decideHost();
      const ofMachine = 'ALERTS{alertname=~"HostMemory.*|AvailableMemory.*|Disk.*|Inodes.*|Clock.*|Load.*"}';
      const mounted = 'node_filesystem_avail_bytes{mountpoint="/srv"}';
      await until("the server to lack nothing", async () => {
        const [alerts, disks] = [await query(ofMachine), await query(mounted)];
        const others = alerts.filter(({ labels }) => /^(Disk|Inodes)/.test(labels["alertname"] ?? ""));
        return disks.length > 0 && alerts.length === others.length;
      });
    }, 600_000);
    afterAll(leaveHost);

    it.each(named(SHORT_OF_EVERYTHING))("is short: %s", (_, faults) => expectTold(faults), ROW_MS);
  });

  it.each(named(LINES, LAST))("where %s", (_, faults) => expectTold(faults), ROW_MS);
});

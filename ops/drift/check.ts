/** One check: looks at everything, then judges it. */
import type { Server } from "../server/connection.ts";
import type { DnsRecord } from "../vendors/dns-records.ts";
import type { Difference } from "./differences.ts";
import type { DriftReport } from "./finding.ts";
import { judge } from "./judge.ts";
import { look, type World } from "./look.ts";
import type { DeployedState } from "./state.ts";

export type { World } from "./look.ts";

export interface Checked {
  readonly report: DriftReport;
  readonly state: DeployedState;

  /** Undefined when it cannot be reached. */
  readonly server: Server | undefined;

  readonly differences: readonly Difference[];
  readonly onlyProvidersFail: boolean;
  readonly extraRecords: readonly DnsRecord[];
  close(): void;
}

/** A server that answers stays open until the result is closed. */
export async function checkDrift(
  stack: string,
  world: World,
  { holdsLock = false }: { readonly holdsLock?: boolean } = {},
): Promise<Checked> {
  const began = world.now();
  const seen = await look({ stack, holdsLock }, world);
  const { onlyProvidersFail, ...judged } = judge(seen);
  const server = seen.server.value;
  return {
    report: {
      stack,
      at: began.toISOString(),
      seconds: Math.round((world.now().getTime() - began.getTime()) / 100) / 10,
      ...judged,
    },
    state: seen.state,
    server,
    differences: seen.differences,
    onlyProvidersFail,
    extraRecords: seen.extraRecords.value ?? [],
    close: () => server?.close(),
  };
}

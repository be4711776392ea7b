/** What a stack's server remembers of its deployments, over one connection. */
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { readHistory } from "../server/audit-log.ts";
import { renderCorrupt } from "../server/records-folder.ts";
import { readReleases } from "../server/releases.ts";
import { openServer, type Server } from "../server/connection.ts";
import type { Records } from "../../reports/facts.ts";

export async function readRecords(
  outputs: Pick<StackOutputs, "ssh">,
  open: (outputs: Pick<StackOutputs, "ssh">) => Server = openServer,
): Promise<Records> {
  const server = open(outputs);
  try {
    const [found, history] = await Promise.all([readReleases(server), readHistory(server)]);
    return {
      releases: found.releases,
      history: history.events,
      corrupt: renderCorrupt([...found.corrupt, ...history.corrupt]),
    };
  } finally {
    server.close();
  }
}

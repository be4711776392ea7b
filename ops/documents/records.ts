/** What a stack's server remembers of its deployments, over one connection. */
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { readHistory } from "../deploy/history.ts";
import { renderCorrupt } from "../deploy/place.ts";
import { readReleases } from "../deploy/releases.ts";
import { openServer, type Server } from "../server.ts";
import type { Records } from "./facts.ts";

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

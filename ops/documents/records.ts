/** Reads the records of a stack's deployments from its server, over one connection. */
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Records } from "../../reports/facts.ts";
import { readHistory, readReleases, renderCorrupt } from "../server/records.ts";
import { openServer, type Server } from "../server/connection.ts";

interface ReadOptions {
  readonly open?: (outputs: Pick<StackOutputs, "ssh">) => Server;

  /** Of each of the two readings. */
  readonly timeoutSeconds?: number;
}

export async function readRecords(
  outputs: Pick<StackOutputs, "ssh">,
  { open = openServer, timeoutSeconds }: ReadOptions = {},
): Promise<Records> {
  const server = open(outputs);
  const reader: Pick<Server, "run"> =
    timeoutSeconds === undefined ? server : { run: (command) => server.run({ ...command, timeoutSeconds }) };
  try {
    const [found, history] = await Promise.all([readReleases(reader), readHistory(reader)]);
    return {
      releases: found.releases,
      history: history.events,
      corrupt: renderCorrupt([...found.corrupt, ...history.corrupt]),
    };
  } finally {
    server.close();
  }
}

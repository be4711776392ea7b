/** `npm run history` and `npm run unlock`: what the server remembers of its deployments. */
import type { Outcome } from "../command.ts";
import type { Server } from "../server/connection.ts";
import { renderTable } from "../table.ts";
import { UserError } from "../../common/user-error.ts";
import { readDeployed } from "../engine/outputs.ts";
import { appendHistory, readHistory } from "../server/audit-log.ts";
import { breakLock, describeLock } from "../server/lock.ts";
import type { Operator } from "./operator.ts";
import { renderCorrupt } from "../server/records-folder.ts";
import { readReleases } from "../server/releases.ts";
import { EXIT } from "./release-progress.ts";

type Reader = Pick<Operator, "pulumi" | "openServer">;

export interface HistoryRequest {
  readonly stack: string;
  readonly json: boolean;
}

export async function showHistory({ stack, json }: HistoryRequest, operator: Reader): Promise<Outcome> {
  return await onServer(stack, operator, async (server) => {
    const [history, found] = await Promise.all([readHistory(server), readReleases(server)]);
    const { events } = history;
    const { releases } = found;
    const corrupt = [...history.corrupt, ...found.corrupt];
    const exitCode = corrupt.length === 0 ? EXIT.ok : EXIT.failed;
    if (json) return { text: JSON.stringify({ events, releases, corrupt }, null, 2), exitCode };
    const rows = events.map(({ at, who, action, release, reason, detail }) => [
      at.slice(0, 19).replace("T", " "),
      who,
      action,
      release === undefined ? "" : String(release),
      reason === "" ? detail : `${detail} (${reason})`,
    ]);
    const table = renderTable(["When (UTC)", "Who", "What", "Release", "Detail"], rows);
    return { text: [table, ...renderCorrupt(corrupt)].join("\n"), exitCode };
  });
}

export interface UnlockCommand {
  readonly stack: string;
  readonly holder: string;
  readonly force: boolean;
  readonly reason: string;
}

export async function unlock(
  { stack, holder, force, reason }: UnlockCommand,
  operator: Reader & Pick<Operator, "identity" | "now">,
): Promise<Outcome> {
  return await onServer(stack, operator, async (server) => {
    const held = await breakLock(server, { stack, holder, force: force ? reason : undefined });
    await appendHistory(server, {
      at: operator.now().toISOString(),
      who: operator.identity.who,
      action: "unlock",
      reason,
      detail: `verrou de ${held.holder.who} levé${held.dead ? "" : " de force"} (${held.holder.why})`,
    });
    return { text: `the lock is free; it was held by ${describeLock(held)}`, exitCode: EXIT.ok };
  });
}

async function onServer(
  stack: string,
  { pulumi, openServer }: Reader,
  work: (server: Server) => Promise<Outcome>,
): Promise<Outcome> {
  const { ssh } = await readDeployed(stack, pulumi);
  if (ssh === undefined)
    throw new UserError(
      `${stack}: expected a deployed stack, got none; deploy it with npm run deploy -- ${stack}`,
    );
  const server = openServer({ ssh });
  try {
    return await work(server);
  } finally {
    server.close();
  }
}

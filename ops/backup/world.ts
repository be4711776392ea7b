/** What the commands of backups reach, and the server that they work on. */
import { UserError } from "../../common/user-error.ts";
import type { AuditEvent } from "../../common/release.ts";
import type { Effects } from "../effects.ts";
import { readDeployed } from "../engine/state.ts";
import type { Server } from "../server/connection.ts";
import { appendHistory } from "../server/records.ts";

export interface BackupWorld extends Effects {
  readonly fetch: typeof fetch;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** Does the work on the server of a deployed stack. */
export async function onBackupServer<T>(
  stack: string,
  { pulumi, openServer }: Pick<Effects, "pulumi" | "openServer">,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const { ssh } = await readDeployed(stack, pulumi);
  if (ssh === undefined)
    throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
  const server = openServer({ ssh });
  try {
    return await work(server);
  } finally {
    server.close();
  }
}

/** Adds to the audit of the server. */
export async function record(
  server: Server,
  { now, identity }: Pick<Effects, "now" | "identity">,
  event: Pick<AuditEvent, "action" | "detail">,
): Promise<void> {
  await appendHistory(server, { ...event, reason: "", at: now().toISOString(), who: identity.who });
}

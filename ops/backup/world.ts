/** What the commands of backups reach, and the server that they work on. */
import type { AuditEvent } from "../../common/release.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { appendHistory } from "../server/records.ts";

export interface BackupWorld extends Effects {
  readonly fetch: typeof fetch;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** Adds to the audit of the server. */
export async function record(
  server: Server,
  { now, identity }: Pick<Effects, "now" | "identity">,
  event: Pick<AuditEvent, "action" | "detail">,
): Promise<void> {
  await appendHistory(server, { ...event, reason: "", at: now().toISOString(), who: identity.who });
}

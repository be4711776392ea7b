/** Who did what when: a file on the server with one line of JSON an event, which only grows. */
import type { Server } from "./connection.ts";
import { RECORDS_FOLDER, type CorruptRecord } from "./records-folder.ts";
import { auditEvent, type AuditEvent } from "../../common/release.ts";

const LOG_FILE = `${RECORDS_FOLDER}/history.jsonl`;

// A killed writer may have left a line unfinished: it is ended first, so that the next line is whole.
const APPEND = `
umask 027
install -d -m 0750 "$RECORDS_FOLDER"
exec 9>>"$FILE"
flock 9
if [ -s "$FILE" ] && [ "$(tail -c 1 "$FILE" | od -An -tx1 | tr -d ' ')" != 0a ]; then echo >&9; fi
cat >&9
sync "$FILE"
# From now on the kernel lets nobody, not even root, do more than append; some file systems cannot.
chattr +a "$FILE" 2>/dev/null || true`;

const READ = `[ ! -e "$FILE" ] || cat "$FILE"`;

export async function appendHistory(server: Server, event: AuditEvent): Promise<void> {
  await server.run({
    purpose: `write ${LOG_FILE}`,
    script: APPEND,
    variables: { RECORDS_FOLDER, FILE: LOG_FILE },
    stdin: `${JSON.stringify(auditEvent.parse(event))}\n`,
  });
}

export interface History {
  /** Oldest first. */
  readonly events: readonly AuditEvent[];
  readonly corrupt: readonly CorruptRecord[];
}

export async function readHistory(server: Pick<Server, "run">): Promise<History> {
  const { stdout } = await server.run({
    purpose: `read ${LOG_FILE}`,
    script: READ,
    variables: { FILE: LOG_FILE },
  });
  const events: AuditEvent[] = [];
  const corrupt: CorruptRecord[] = [];
  for (const [index, line] of stdout.split("\n").entries()) {
    if (line.trim() === "") continue;
    const read = readLine(line);
    if (read === undefined)
      corrupt.push({
        path: `${LOG_FILE}:${index + 1}`,
        problem: "this line is no event of the audit",
      });
    else events.push(read);
  }
  return { events, corrupt };
}

function readLine(line: string): AuditEvent | undefined {
  try {
    return auditEvent.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

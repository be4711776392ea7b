/** Who did what when: one line of JSON an event, on the server, only ever added to. */
import type { Server } from "./connection.ts";
import { PLACE, type CorruptRecord } from "./records-folder.ts";
import { auditEvent, type AuditEvent } from "../../common/release.ts";

const FILE = `${PLACE}/history.jsonl`;

// A line that a killed writer left unfinished gets its end first, so that the next one is whole.
const APPEND = `
umask 027
install -d -m 0750 "$PLACE"
exec 9>>"$FILE"
flock 9
if [ -s "$FILE" ] && [ "$(tail -c 1 "$FILE" | od -An -tx1 | tr -d ' ')" != 0a ]; then echo >&9; fi
cat >&9
sync "$FILE"
# From here the kernel refuses everything but adding, root included; some file systems cannot.
chattr +a "$FILE" 2>/dev/null || true`;

const READ = `[ ! -e "$FILE" ] || cat "$FILE"`;

export async function appendHistory(server: Server, event: AuditEvent): Promise<void> {
  await server.run({
    purpose: `write ${FILE}`,
    script: APPEND,
    variables: { PLACE, FILE },
    stdin: `${JSON.stringify(auditEvent.parse(event))}\n`,
  });
}

export interface History {
  /** Oldest first. */
  readonly events: readonly AuditEvent[];
  readonly corrupt: readonly CorruptRecord[];
}

export async function readHistory(server: Server): Promise<History> {
  const { stdout } = await server.run({ purpose: `read ${FILE}`, script: READ, variables: { FILE } });
  const events: AuditEvent[] = [];
  const corrupt: CorruptRecord[] = [];
  for (const [index, line] of stdout.split("\n").entries()) {
    if (line.trim() === "") continue;
    const read = readLine(line);
    if (read === undefined)
      corrupt.push({
        path: `${FILE}:${index + 1}`,
        problem: "expected an event of the audit, got another text",
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

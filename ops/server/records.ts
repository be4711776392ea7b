/** The records on the server of what was done to it: the releases of the stack, and the log of who did what when. */
import { auditEvent, type AuditEvent, release, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "./connection.ts";

/** Folder on the server with the records of what was done to it. */
export const RECORDS_FOLDER = "/var/lib/technicia";

/** A record that cannot be read. It is reported and never overwritten. */
interface CorruptRecord {
  /** Path on the server, with the line where there are several records in one file. */
  readonly path: string;

  /** What was expected and what was found. */
  readonly problem: string;
}

export function renderCorrupt(corrupt: readonly CorruptRecord[]): string[] {
  return corrupt.map(({ path, problem }) => `${path}: ${problem}; it was ignored and left as it is`);
}

const RELEASES_FOLDER = `${RECORDS_FOLDER}/releases`;

/** Another version of these commands may have written more fields. */
const readable = release.strip();

const NAME = /^(?<number>\d{6})(?<end>\.end)?\.json$/;

const LIST = `
[ -d "$FOLDER" ] || exit 0
cd "$FOLDER"
for file in *.json; do
  if [ -f "$file" ]; then printf '%s %s\\n' "$file" "$(base64 --wrap=0 "$file")"; fi
done`;

const WRITE = `
umask 027
install -d -m 0750 "$FOLDER"
cd "$FOLDER"
written=$(mktemp .new.XXXXXXXX)
trap 'rm --force "$written"' EXIT
cat > "$written"
chmod 0640 "$written"
sync "$written"
if ln "$written" "$NAME" 2>/dev/null; then
  sync .
  echo written
elif [ -e "$NAME" ]; then
  echo taken
else
  ln "$written" "$NAME"
fi`;

export interface Releases {
  /** Oldest first; one without an end is `running`. */
  readonly releases: readonly Release[];
  readonly corrupt: readonly CorruptRecord[];
  /** Highest number that any record, readable or not, has taken. */
  readonly last: number;
}

export async function readReleases(server: Pick<Server, "run">): Promise<Releases> {
  const { stdout } = await server.run({
    purpose: `read the releases in ${RELEASES_FOLDER}`,
    script: LIST,
    variables: { FOLDER: RELEASES_FOLDER },
  });
  const starts = new Map<number, Release | undefined>();
  const ends = new Map<number, Release | undefined>();
  const corrupt: CorruptRecord[] = [];
  for (const line of stdout.split("\n").filter((text) => text !== "")) {
    const [name = "", content = ""] = line.split(" ");
    const groups = NAME.exec(name)?.groups;
    if (!groups) {
      corrupt.push({ path: `${RELEASES_FOLDER}/${name}`, problem: "expected a name such as 000012.json" });
      continue;
    }
    const number = Number(groups["number"]);
    const read = parseRelease(Buffer.from(content, "base64").toString("utf8"), number);
    if (typeof read === "string") corrupt.push({ path: `${RELEASES_FOLDER}/${name}`, problem: read });
    (groups["end"] ? ends : starts).set(number, typeof read === "string" ? undefined : read);
  }
  const numbers = [...new Set([...starts.keys(), ...ends.keys()])].sort((a, b) => a - b);
  // The end counts alone: if it is unreadable, the outcome is unknown.
  const releases = numbers.flatMap((number) => (ends.has(number) ? ends : starts).get(number) ?? []);
  return { releases, corrupt, last: numbers.at(-1) ?? 0 };
}

/** Records the start of a release, under the next free number. */
export async function startRelease(
  server: Server,
  begun: Omit<Release, "number" | "outcome" | "finishedAt">,
): Promise<Release> {
  let number = (await readReleases(server)).last;
  for (;;) {
    number += 1;
    const record: Release = { ...begun, number, outcome: "running" };
    if (await writeRecord(server, { name: `${named(number)}.json`, record })) return record;
  }
}

/** The end of a release is recorded already. */
export class EndRecorded extends UserError {
  override readonly name = "EndRecorded";
}

/** Records the end of a release, once; a second end is an `EndRecorded`. */
export async function finishRelease(server: Server, ended: Release): Promise<void> {
  const name = `${named(ended.number)}.end.json`;
  if (await writeRecord(server, { name, record: ended })) return;
  throw new EndRecorded(
    `${RELEASES_FOLDER}/${name}: somebody else has recorded the end of release ${ended.number}; ` +
      "two deployments ran at once, see both with npm run history",
  );
}

async function writeRecord(
  server: Server,
  { name, record }: { readonly name: string; readonly record: Release },
): Promise<boolean> {
  const { stdout } = await server.run({
    purpose: `write ${RELEASES_FOLDER}/${name}`,
    script: WRITE,
    variables: { FOLDER: RELEASES_FOLDER, NAME: name },
    stdin: `${JSON.stringify(release.parse(record), null, 2)}\n`,
  });
  return stdout.trim() === "written";
}

function parseRelease(text: string, number: number): Release | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "expected a release as JSON, got another text";
  }
  const read = readable.safeParse(value);
  if (!read.success) {
    const keys = [...new Set(read.error.issues.map(({ path }) => path.join(".") || "the whole"))];
    return `expected a release, got one with problems in ${keys.join(", ")}`;
  }
  return read.data.number === number ? read.data : `expected release ${number}, got ${read.data.number}`;
}

function named(number: number): string {
  return String(number).padStart(6, "0");
}

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

/** Oldest first. */
export async function readHistory(
  server: Pick<Server, "run">,
): Promise<{ readonly events: readonly AuditEvent[]; readonly corrupt: readonly CorruptRecord[] }> {
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
    if (read) events.push(read);
    else corrupt.push({ path: `${LOG_FILE}:${index + 1}`, problem: "this line is no event of the audit" });
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

/** The records on the server of what was done to it: the releases of the stack, and the log of who did what when. */
import { createHash } from "node:crypto";

import { z } from "zod";

import { auditEvent, type AuditEvent, RECORDS_FOLDER, release, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "./connection.ts";

/** A record that cannot be read. It is reported and never overwritten. */
interface CorruptRecord {
  /** Path on the server, with the line where there are several records in one file. */
  readonly path: string;

  /** What was expected and what was found. */
  readonly problem: string;

  /** Whether it was changed since it was written; it is read all the same. */
  readonly isChanged?: boolean;
}

export function renderCorrupt(corrupt: readonly CorruptRecord[]): string[] {
  return corrupt.map(({ path, problem, isChanged = false }) =>
    isChanged
      ? `${path}: ${problem}; compare it with the newest set of backups (docs/operations.md)`
      : `${path}: ${problem}; it was ignored and left as it is`,
  );
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

const LOG_FILE = `${RECORDS_FOLDER}/history.jsonl`;

// append <JSON object>: adds a line to the log, with the digest of the line before it. Whoever changes a line breaks the chain.
// A killed writer may have left a line unfinished: it is ended first, so that the next line is whole.
const APPEND = `
append() (
  umask 027
  install -d -m 0750 "$RECORDS_FOLDER"
  exec 9>>"$FILE"
  flock 9
  if [ -s "$FILE" ] && [ "$(tail -c 1 "$FILE" | od -An -tx1 | tr -d ' ')" != 0a ]; then echo >&9; fi
  previous=$(tail -n 1 "$FILE" | sha256sum | cut -c -64)
  printf '%s,"previous":"%s"}\\n' "\${1%\\}}" "$previous" >&9
  sync "$FILE"
  # From now on the kernel lets nobody, not even root, do more than append; some file systems cannot.
  chattr +a "$FILE" 2>/dev/null || true
)
`;

const WRITE = `${APPEND}
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
  append "{\\"record\\":\\"$NAME\\",\\"sha256\\":\\"$(sha256sum "$NAME" | cut -c -64)\\"}"
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
  /** File → SHA-256 of its content. */
  readonly digests: ReadonlyMap<string, string>;
}

export async function readReleases(server: Pick<Server, "run">): Promise<Releases> {
  const { stdout } = await server.run({
    purpose: `read the releases in ${RELEASES_FOLDER}`,
    script: LIST,
    variables: { FOLDER: RELEASES_FOLDER },
  });
  const lines = stdout.split("\n").filter((text) => text !== "");
  return parseReleases(
    lines.map((line) => {
      const [name = "", content = ""] = line.split(" ");
      return [name, Buffer.from(content, "base64")];
    }),
  );
}

function parseReleases(files: Iterable<readonly [name: string, content: Buffer]>): Releases {
  const starts = new Map<number, Release | undefined>();
  const ends = new Map<number, Release | undefined>();
  const corrupt: CorruptRecord[] = [];
  const digests = new Map<string, string>();
  for (const [name, content] of files) {
    const groups = NAME.exec(name)?.groups;
    if (!groups) {
      corrupt.push({ path: `${RELEASES_FOLDER}/${name}`, problem: "expected a name such as 000012.json" });
      continue;
    }
    digests.set(name, digestOf(content));
    const number = Number(groups["number"]);
    const read = parseRelease(content.toString("utf8"), number);
    if (typeof read === "string") corrupt.push({ path: `${RELEASES_FOLDER}/${name}`, problem: read });
    (groups["end"] ? ends : starts).set(number, typeof read === "string" ? undefined : read);
  }
  const numbers = [...new Set([...starts.keys(), ...ends.keys()])].sort((a, b) => a - b);
  // The end counts alone: if it is unreadable, the outcome is unknown.
  const releases = numbers.flatMap((number) => (ends.has(number) ? ends : starts).get(number) ?? []);
  return { releases, corrupt, last: numbers.at(-1) ?? 0, digests };
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
    variables: { FOLDER: RELEASES_FOLDER, NAME: name, RECORDS_FOLDER, FILE: LOG_FILE },
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

export async function appendHistory(server: Server, event: AuditEvent): Promise<void> {
  await server.run({
    purpose: `write ${LOG_FILE}`,
    script: `${APPEND}\nappend "$(cat)"`,
    variables: { RECORDS_FOLDER, FILE: LOG_FILE },
    stdin: JSON.stringify(auditEvent.parse(event)),
  });
}

/** The line that a new record of a release adds to the log. */
const link = z.object({ record: z.string(), sha256: z.string() });

/** `isRestored`: it stands among lines that a restore has brought back. */
type Link = z.output<typeof link> & { readonly isRestored: boolean };

const chained = z.object({ previous: z.string() });

/** Stands before the lines that a restore has brought back, which have a chain of their own. */
const restoredLines = z.object({ restored: z.string(), lines: z.number().int().nonnegative() });

interface History {
  readonly events: readonly AuditEvent[];
  readonly links: readonly Link[];
  readonly corrupt: readonly CorruptRecord[];
}

/** Oldest first. */
export async function readHistory(server: Pick<Server, "run">): Promise<History> {
  const { stdout } = await server.run({
    purpose: `read ${LOG_FILE}`,
    script: `[ ! -e "$FILE" ] || cat "$FILE"`,
    variables: { FILE: LOG_FILE },
  });
  return parseHistory(stdout);
}

function parseHistory(text: string): History {
  const events: AuditEvent[] = [];
  const links: Link[] = [];
  const corrupt: CorruptRecord[] = [];
  const lines = text.endsWith("\n") ? text.slice(0, -1).split("\n") : text.split("\n").filter(Boolean);
  // Earlier versions of the commands wrote no digests.
  let isChained = false;
  let restored = 0;
  for (const [index, line] of lines.entries()) {
    const path = `${LOG_FILE}:${index + 1}`;
    const value = parseLine(line);
    isChained ||= chained.safeParse(value).success;
    // Lines that a restore brought back follow each other as in their set, whose manifest has a digest of its own.
    const broken = restored > 0 || !isChained ? undefined : findBreak(value, lines[index - 1]);
    if (broken !== undefined) corrupt.push({ path, problem: broken, isChanged: true });
    const head = restoredLines.safeParse(value).data;
    const isRestored = restored > 0 && head === undefined;
    restored = head?.lines ?? Math.max(restored - 1, 0);
    if (head) continue;
    const written = link.safeParse(value).data;
    // Other versions may write more fields.
    const event = auditEvent.strip().safeParse(value).data;
    if (written) links.push({ ...written, isRestored });
    else if (event) events.push(event);
    else if (line !== "" || isChained) corrupt.push({ path, problem: "this line is no event of the audit" });
  }
  // A restore adds old lines behind new ones.
  return { events: events.sort((one, other) => one.at.localeCompare(other.at)), links, corrupt };
}

/** What is wrong with a line's place in the chain. A line that is no JSON is reported for itself. */
function findBreak(value: unknown, before: string | undefined): string | undefined {
  const previous = chained.safeParse(value).data?.previous;
  if (previous === undefined)
    return value === undefined
      ? undefined
      : "this line lacks the digest of the line before, which these commands write";
  const isWhole = previous === digestOf(before === undefined ? "" : `${before}\n`);
  return isWhole ? undefined : "the line before is another one than when this line was written";
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function digestOf(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Everything that is recorded, and what of it is not as it was written. */
export type Recorded = Pick<History, "events"> & Pick<Releases, "releases" | "corrupt">;

export async function readRecords(server: Pick<Server, "run">): Promise<Recorded> {
  return joined(...(await Promise.all([readHistory(server), readReleases(server)])));
}

/** The same of a copy. `releases`: by file name; `log`: text of the history, empty where there was none. */
export function parseRecords({
  releases,
  log,
}: {
  readonly releases: ReadonlyMap<string, Buffer>;
  readonly log: string;
}): Recorded {
  return joined(parseHistory(log), parseReleases(releases));
}

function joined(history: History, found: Releases): Recorded {
  // A server that was set up anew has counted its releases from 1 again before the old ones came back: its own records stay.
  const own = new Set(history.links.filter(({ isRestored }) => !isRestored).map(({ record }) => record));
  const decisive = history.links.filter(({ record, isRestored }) => !isRestored || !own.has(record));
  const changed = decisive.flatMap(({ record, sha256 }): CorruptRecord[] => {
    const digest = found.digests.get(record);
    if (digest === sha256) return [];
    const path = `${RELEASES_FOLDER}/${record}`;
    return [
      { path, problem: digest === undefined ? "it was removed" : "it was changed after it had been written" },
    ];
  });
  const { events } = history;
  return { events, releases: found.releases, corrupt: [...history.corrupt, ...found.corrupt, ...changed] };
}

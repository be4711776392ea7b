/**
 * The releases of a stack, on its server: `000012.json` when one begins, `000012.end.json` when it has ended.
 *
 * Each file appears whole and once: it is written under another name, then linked, and a link never replaces what is there. So two writers
 * never get the same number, a killed one leaves no half record, and what was written is never edited.
 */
import type { Server } from "./connection.ts";
import { UserError } from "../../common/user-error.ts";
import { RECORDS_FOLDER, type CorruptRecord } from "./records-folder.ts";
import { release, type Release } from "../../common/release.ts";

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

/** Records the end of a release, once. */
export async function finishRelease(server: Server, ended: Release): Promise<void> {
  const name = `${named(ended.number)}.end.json`;
  if (await writeRecord(server, { name, record: ended })) return;
  throw new UserError(
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

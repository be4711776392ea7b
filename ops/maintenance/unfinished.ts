/** What a maintenance has begun and not ended, kept on the server: the next one goes on with it. */
import type { Server } from "../server/connection.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";

const FILE = `${RECORDS_FOLDER}/maintenance`;

const WRITE = `
umask 027
# A server without the data has had no records yet.
install -d -m 0750 "\${FILE%/*}"
cat >"$FILE.new"
mv "$FILE.new" "$FILE"`;

/** What it set out to do, as the record says it; undefined when none is unfinished. */
export async function readUnfinished(server: Server): Promise<string | undefined> {
  const { stdout } = await server.run({
    purpose: "look for an unfinished maintenance",
    script: `[ ! -e "$FILE" ] || cat "$FILE"`,
    variables: { FILE },
  });
  return stdout.trim() === "" ? undefined : stdout.trim();
}

export async function noteBegun(server: Server, what: string): Promise<void> {
  await server.run({
    purpose: "note that a maintenance begins",
    script: WRITE,
    variables: { FILE },
    stdin: `${what}\n`,
  });
}

export async function noteEnded(server: Server): Promise<void> {
  await server.run({
    purpose: "note that the maintenance has ended",
    script: `rm -f "$FILE"`,
    variables: { FILE },
  });
}

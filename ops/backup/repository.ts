/** restic on the operator's machine or in CI, in a container of its own: for what the server's key cannot and must not do. */
import { lookup } from "node:dns/promises";
import { writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { getCACertificates } from "node:tls";

import { z } from "zod";

import type { StorageKey } from "../../common/object-storage.ts";
import { lastWords, tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { inPrivateFolder } from "../engine/events.ts";
import type { BackupPlace } from "./read-back.ts";

export interface Repository extends BackupPlace {
  /** restic's image. */
  readonly image: string;

  /** With which the sets are encrypted. */
  readonly password: string;
}

interface ResticCall {
  /** Follows "could not": `check the repository`. */
  readonly purpose: string;
  readonly words: readonly string[];

  /** Content of a file whose path is the last word. */
  readonly file?: string;
  readonly signal: AbortSignal;
}

/** The repository does not open with this password. */
export class WrongPassword extends UserError {
  override readonly name = "WrongPassword";
}

const INSIDE = "/run/technicia";

/** restic's exit codes. */
const MEANINGS: Readonly<Record<number, string>> = {
  1: "look at the key, the bucket and the region",
  10: "there is no repository at this place; bring deleted objects back with npm run backups -- <stack> --undelete",
  11: "another program has locked the repository; wait until it has ended",
  12: "the secret backupPassword is not the repository's",
};

/**
 * Gives what restic prints. Keys and password are in files of a folder that only this user can read, and go with it.
 *
 * @throws UserError
 */
export async function restic(
  { bucket, prefix, key, image, password }: Repository,
  { purpose, words, file, signal }: ResticCall,
): Promise<string> {
  const { hostname } = new URL(bucket.address);
  return await inPrivateFolder(async (folder) => {
    const files: Record<string, string> = {
      key: credentials(key),
      password,
      // The operator's system may trust an authority that the image does not know.
      authorities: [...getCACertificates("default"), ...getCACertificates("system")].join("\n"),
    };
    if (file !== undefined) files["given"] = file;
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), content, { mode: 0o600 });
    // The container asks for names where Docker runs, and not where the operator is.
    const address = isIP(hostname) === 0 ? (await lookup(hostname)).address : undefined;
    const ended = await tryRun(
      [
        ...["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "host"],
        ...(address === undefined ? [] : ["--add-host", `${hostname}:${address}`]),
        ...["--volume", `${folder}:${INSIDE}:ro`, "--env", `AWS_SHARED_CREDENTIALS_FILE=${INSIDE}/key`],
        ...["--env", `AWS_DEFAULT_REGION=${bucket.region}`, image],
        ...[
          "--repo",
          `s3:${bucket.address}/${bucket.bucket}/${prefix}`,
          "--password-file",
          `${INSIDE}/password`,
        ],
        ...["--cacert", `${INSIDE}/authorities`, "--cache-dir", "/tmp/cache", ...words],
        ...(file === undefined ? [] : [`${INSIDE}/given`]),
      ],
      {
        signal,
        missing:
          "docker: expected Docker's client on PATH, got none; install Docker, in which restic runs here",
      },
    );
    signal.throwIfAborted();
    if (ended.code === 0) return ended.stdout;
    const meaning = MEANINGS[ended.code ?? -1];
    const Failure = ended.code === 12 ? WrongPassword : UserError;
    throw new Failure(
      `could not ${purpose}: ${reasonIn(ended.stderr) ?? lastWords(ended)}${meaning === undefined ? "" : `; ${meaning}`}`,
    );
  });
}

const snapshots = z.array(
  z.looseObject({
    id: z.string(),
    time: z.string(),
    tags: z.array(z.string()).nullish(),
    summary: z.looseObject({ total_bytes_processed: z.number(), data_added_packed: z.number() }).optional(),
  }),
);

/** The sets of the stack, newest first. */
export async function listSnapshots(
  repository: Repository,
  { signal }: Pick<ResticCall, "signal">,
): Promise<z.output<typeof snapshots>> {
  const words = ["snapshots", "--json", "--no-lock", "--host", repository.prefix];
  const listed = await restic(repository, { purpose: "list the sets", words, signal });
  return snapshots.parse(JSON.parse(listed)).toSorted((one, other) => other.time.localeCompare(one.time));
}

/** restic adds traces of its own functions to what it did not expect. */
function reasonIn(text: string): string | undefined {
  const lines = text.split("\n").filter((line) => /^\w.*: /.test(line));
  return lines.findLast((line) => /^Fatal: /.test(line)) ?? lines[0];
}

function credentials({ accessKeyId, secretAccessKey }: StorageKey): string {
  return `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
}

/** The records of releases and commands as the newest set has them, for when the server does not answer any more. */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { readSettings } from "../engine/settings.ts";
import { parseRecords, type Recorded } from "../server/records.ts";
import { repositoryOf } from "./prune.ts";
import { readPlace } from "./read-back.ts";
import { listSnapshots, restic, type Repository } from "./repository.ts";
import { isBackedUp } from "./status.ts";

export interface CopiedRecords extends Recorded {
  /** Id of the set. */
  readonly set: string;

  /** When it was made, in ISO 8601. */
  readonly madeAt: string;
}

type World = Pick<Effects, "pulumi" | "signal">;

/** Reads a copy of the records of a stack. */
export type ReadCopy = (stack: string) => Promise<CopiedRecords | undefined>;

/** Undefined where no backups are set up. Asks the storage with the reader's key, by restic in Docker on this machine. */
export function copyReader({ pulumi, signal }: World): ReadCopy {
  return async (stack) => {
    const settings = await readSettings(stack, pulumi);
    if (!isBackedUp(settings.environment)) return undefined;
    const place = await readPlace(settings, pulumi);
    return await readCopy({ ...repositoryOf(settings), ...place }, { signal });
  };
}

const FOLDER = "/set/records";

export async function readCopy(
  repository: Repository,
  { signal }: Pick<World, "signal">,
): Promise<CopiedRecords> {
  const { prefix, bucket } = repository;
  const [newest] = await listSnapshots(repository, { signal });
  if (newest === undefined)
    throw new UserError(
      `${bucket.address}/${bucket.bucket}/${prefix}: expected a set of backups with the records, got none`,
    );
  const dump = ["dump", "--no-lock", newest.id, FOLDER];
  const archive = await restic(repository, { purpose: "read the records of the set", words: dump, signal });
  const files = filesIn(Buffer.from(archive));
  const inFolder = [...files].map(
    ([path, content]) => [path.replace(/^(?:.*\/)?records\//, ""), content] as const,
  );
  const releases = inFolder.flatMap(([path, content]) =>
    path.startsWith("releases/") ? [[path.slice("releases/".length), content] as const] : [],
  );
  const log = new Map(inFolder).get("history.jsonl")?.toString("utf8") ?? "";
  return { set: newest.id, madeAt: newest.time, ...parseRecords({ releases: new Map(releases), log }) };
}

const BLOCK = 512;

/** Path → content of the plain files of an archive in tar's format, in which restic writes a folder. */
export function filesIn(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let at = 0;
  while (at + BLOCK <= archive.length) {
    const head = archive.subarray(at, at + BLOCK);
    const field = (from: number, length: number) => textIn(head.subarray(from, from + length));
    if (field(0, 100) === "") break;
    const size = Number.parseInt(field(124, 12), 8) || 0;
    const [prefix, name, type] = [field(345, 155), field(0, 100), field(156, 1)];
    const content = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (type === "0" || type === "") files.set(prefix === "" ? name : `${prefix}/${name}`, content);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

function textIn(field: Buffer): string {
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString("utf8");
}

/** Where these records come from instead of the server, in one sentence. */
export function describeCopy({ set, madeAt }: Pick<CopiedRecords, "set" | "madeAt">, now: Date): string {
  const hours = (now.getTime() - Date.parse(madeAt)) / 3_600_000;
  const age = hours < 48 ? `${hours.toFixed(1)} h` : `${Math.floor(hours / 24)} d`;
  return `these are the records in the set ${set.slice(0, 8)} of ${madeAt.slice(0, 19).replace("T", " ")} UTC, ${age} old; what came later is not among them`;
}

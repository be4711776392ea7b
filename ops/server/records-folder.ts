/** Folder on the server with the records of what was done to it. */
export const RECORDS_FOLDER = "/var/lib/technicia";

/** A record that cannot be read. It is reported and never overwritten. */
export interface CorruptRecord {
  /** Path on the server, with the line where there are several records in one file. */
  readonly path: string;

  /** What was expected and what is there. */
  readonly problem: string;
}

export function renderCorrupt(corrupt: readonly CorruptRecord[]): string[] {
  return corrupt.map(({ path, problem }) => `${path}: ${problem}; it was ignored and left as it is`);
}

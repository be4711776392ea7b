/** Folder on the server that keeps what was done to it; it outlives every laptop and runner. */
export const PLACE = "/var/lib/technicia";

/** A record that cannot be read. It stays where it is: it is reported, and nothing is written in its place. */
export interface CorruptRecord {
  /** Path on the server, with the line where there are several records in one file. */
  readonly path: string;

  /** What was expected and what is there. */
  readonly problem: string;
}

export function renderCorrupt(corrupt: readonly CorruptRecord[]): string[] {
  return corrupt.map(({ path, problem }) => `${path}: ${problem}; it was left as it is and not counted`);
}

import { tmpdir } from "node:os";
import { join } from "node:path";

/** Ours alone: APT waits for dpkg's lock, but lets nobody wait for that of its package lists. */
const LOCK = join(tmpdir(), "technicia-apt.lock");

/** Name servers drop what they cannot take at once, and a set-up asks much; APT's own three tries are over within seconds. */
export const APT_RETRIES = 10;

/**
 * A command, for root, that installs Debian packages from lists just read. Any number may run at the same time: each waits for its turn.
 *
 * A list that cannot be read does not end it; a package that cannot be had does.
 */
export function aptCommand(
  packages: readonly string[],
  { recommends = false }: { readonly recommends?: boolean } = {},
): readonly string[] {
  const apt = `DEBIAN_FRONTEND=noninteractive apt-get --quiet -o DPkg::Lock::Timeout=300 -o Acquire::Retries=${APT_RETRIES}`;
  const install = ["install --yes", ...(recommends ? [] : ["--no-install-recommends"]), ...packages].join(
    " ",
  );
  return ["flock", LOCK, "sh", "-c", `${apt} update; ${apt} ${install}`];
}

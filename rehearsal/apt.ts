import { tmpdir } from "node:os";
import { join } from "node:path";

/** A lock of our own: APT waits for dpkg's lock, but fails on that of its package lists. */
const LOCK = join(tmpdir(), "technicia-apt.lock");

/** Name servers drop requests under load, and a set-up sends many. APT's own three tries are over within seconds. */
export const APT_RETRIES = 10;

/**
 * A command, for root, that updates the package lists and installs Debian packages. Several may run at the same time: each waits for its turn.
 *
 * It continues when a list cannot be read, and fails when a package is not available.
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

import { homedir } from "node:os";
import { join } from "node:path";

type Variables = Readonly<Record<string, string | undefined>>;

/** Where everything that takes long to make stays between runs. An empty `XDG_CACHE_HOME` counts as unset. */
export function cacheFolder({ XDG_CACHE_HOME, HOME }: Variables = process.env): string {
  return join(XDG_CACHE_HOME || join(HOME || homedir(), ".cache"), "technicia");
}

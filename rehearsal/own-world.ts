/** Whether the containers of a rehearsal are there, and are those of this folder: every clone on a machine gives them the same names. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

import { UserError } from "../common/user-error.ts";
import { LABEL, PREFIX, STATE } from "./addresses.ts";
import { docker } from "./docker.ts";

const CLOUDS = `${PREFIX}-clouds`;

/** Where the container of the fake clouds has the folder with their state. */
const CLOUDS_FOLDER = "/clouds";

type Docker = (args: readonly string[]) => Promise<string>;

/**
 * Refuses to continue where another clone has removed the containers, or runs its own: the state here names servers that are gone, and a
 * deployment would wait for them in vain.
 */
export async function requireOwnWorld(folder: string = STATE, ask: Docker = docker): Promise<void> {
  const owner = await ownerOfClouds(ask);
  const own = join(folder, "clouds");
  if (owner !== undefined && owner !== own) {
    throw new UserError(
      `npm start: expected no rehearsal or this folder's, got that of ${dirname(dirname(owner))}; ` +
        "remove it there with npm run rehearsal:stop" +
        (wasStarted(folder) ? ", then what is left here with the same command" : ""),
    );
  }
  if (owner !== undefined || !wasStarted(folder) || (await hasContainers(ask))) return;
  throw new UserError(
    "npm start: expected the containers of the rehearsal that was started here, got none: another clone on this machine has removed them, " +
      "or Docker has lost them; remove what is left with npm run rehearsal:stop, and start anew",
  );
}

/** The fake clouds have run. */
const wasStarted = (folder: string) => existsSync(join(folder, "clouds", "state.json"));

/** Folder of the state of the clouds whose container exists, running or not. */
async function ownerOfClouds(ask: Docker): Promise<string | undefined> {
  const format = `{{range .Mounts}}{{if eq .Destination "${CLOUDS_FOLDER}"}}{{.Source}}{{end}}{{end}}`;
  const source = await ask(["container", "inspect", "--format", format, CLOUDS]).catch(() => "");
  return source.trim() === "" ? undefined : source.trim();
}

async function hasContainers(ask: Docker): Promise<boolean> {
  const filters = ["--filter", `label=${LABEL}`, "--filter", `name=^${PREFIX}-`];
  return (await ask(["ps", "--all", "--quiet", ...filters])).trim() !== "";
}

/**
 * The git repository of TechnicIA's services, as its user has one: each in a folder with a Dockerfile. The services are this project's own,
 * compatible by contract; their base images are those of the rehearsal, because no other can be pulled here.
 */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { run } from "../common/run.ts";
import { builtServices, type BuiltService, SERVICES } from "../common/services.ts";
import { STATE } from "./addresses.ts";

const IMAGES = join(import.meta.dirname, "images");
const VERSION = "1.0.0";

/** Equal contents give an equal commit, and so an image that is built already. */
const COMMITTER = {
  GIT_AUTHOR_NAME: "TechnicIA",
  GIT_AUTHOR_EMAIL: "equipe@technicia.example",
  GIT_AUTHOR_DATE: "2026-01-01T00:00:00Z",
  GIT_COMMITTER_NAME: "TechnicIA",
  GIT_COMMITTER_EMAIL: "equipe@technicia.example",
  GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z",
};

export interface RehearsedSource {
  readonly repository: string;
  readonly commit: string;
  readonly folder: string;
}

export type RehearsedSources = Readonly<Record<BuiltService, RehearsedSource>>;

/** Writes the repository anew and gives what `images.sources` has to say of it. `bases`: build argument → local image. */
export async function ensureServicesRepository(
  bases: Readonly<Record<string, string>>,
  folder: string = join(STATE, "services"),
): Promise<RehearsedSources> {
  await rm(folder, { recursive: true, force: true });
  for (const service of builtServices) {
    const { alias } = SERVICES[service];
    const target = join(folder, "services", alias);
    await mkdir(target, { recursive: true });
    await cp(join(IMAGES, alias), target, {
      recursive: true,
      filter: (from) => !from.includes("__pycache__"),
    });
    const dockerfile = join(target, "Dockerfile");
    await writeFile(dockerfile, withArguments(await readFile(dockerfile, "utf8"), bases));
  }
  const git = (...args: string[]) => run(["git", ...args], { cwd: folder, environment: COMMITTER });
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", "--all");
  await git("commit", "--quiet", "--no-gpg-sign", "--message=Services of the rehearsal");
  const commit = (await git("rev-parse", "HEAD")).trim();
  const sources = builtServices.map((service) => [
    service,
    { repository: pathToFileURL(folder).href, commit, folder: `services/${SERVICES[service].alias}` },
  ]);
  return Object.fromEntries(sources) as RehearsedSources;
}

/** A user's build gets no arguments. */
function withArguments(dockerfile: string, bases: Readonly<Record<string, string>>): string {
  return Object.entries({ ...bases, VERSION }).reduce(
    (text, [name, value]) => text.replaceAll(new RegExp(`^ARG ${name}$`, "gm"), `ARG ${name}=${value}`),
    dockerfile,
  );
}

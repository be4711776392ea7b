/**
 * Images that a command of the operator runs in Docker on this machine. Its engine asks Docker Hub and not the rehearsal's registry, so they get
 * their name of there on this machine, as after a pull. An image of that name that was here before stays, and so do ours of other names.
 */
import { tryRun } from "../../common/run.ts";
import { docker } from "../docker.ts";
import { OTHERS } from "./catalog.ts";

const OURS = "technicia-rehearsal/";

/** What such a command runs, by the recipe. */
const RECIPES: readonly string[] = ["restic"];

function lent(): string[] {
  return OTHERS.filter(({ recipe }) => RECIPES.includes(recipe)).map(({ name }) => name);
}

/** `published`: name at Docker Hub → local tag. */
export async function lendImages(
  published: Readonly<Record<string, string>>,
  names: readonly string[] = lent(),
): Promise<void> {
  for (const name of names) {
    const tag = published[name];
    const tags = await tagsOf(name);
    if (tag === undefined || (tags !== undefined && !tags.some(isOurs))) continue;
    await docker(["tag", tag, name]);
  }
}

/** Takes the names away again. Gives those that it took. */
export async function takeBackImages(names: readonly string[] = lent()): Promise<string[]> {
  const taken: string[] = [];
  for (const name of names) {
    const tags = await tagsOf(name);
    if (tags === undefined || !tags.some(isOurs)) continue;
    await docker(["rmi", name]);
    taken.push(name);
  }
  return taken;
}

function isOurs(tag: string): boolean {
  return tag.startsWith(OURS);
}

/** All names of the image with this one; undefined when there is none. */
async function tagsOf(name: string): Promise<readonly string[] | undefined> {
  const { code, stdout } = await tryRun([
    ...["docker", "image", "inspect", "--format", "{{json .RepoTags}}", name],
  ]);
  return code === 0 ? ((JSON.parse(stdout) as readonly string[] | null) ?? []) : undefined;
}

import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { aptCommand } from "../apt.ts";
import { docker, type Progress } from "../docker.ts";
import { run } from "../../common/run.ts";
import {
  type BaseContent,
  buildBase,
  describeBase,
  readMachineCertificates,
  readSources,
  isRelease,
  type Release,
  RELEASES,
  renderSources,
  type Source,
} from "./base.ts";
import { OTHERS, OURS, RECIPES, type System, SYSTEMS, USUAL_SYSTEM } from "./catalog.ts";
import { canPull, pull } from "./upstream.ts";

const FOLDER = import.meta.dirname;
const REPOSITORY = "technicia-rehearsal";
const AT_ONCE = 2;
const PROXIES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
const FOR_THE_REHEARSAL = ["router", "scanner", "clouds", "registry", "pebble", "s3"] as const;

/** Images of one rehearsal, by their tags in the local engine. */
export interface Images extends Readonly<Record<(typeof FOR_THE_REHEARSAL)[number], string>> {
  /** OVH's name of an operating system → local tag of its server image, for those that were asked for. */
  readonly systems: Readonly<Record<string, string>>;

  /** Name at Docker Hub → local tag, for all that the rehearsal's registry offers. */
  readonly published: Readonly<Record<string, string>>;

  /** Build argument → local tag, of the images below TechnicIA's own services. */
  readonly bases: Readonly<Record<string, string>>;

  /** Settings (`technicia:images` keys) that name an image which can be had here instead of the committed one. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** Builds every image whose contents have changed or that does not exist yet; of server images the usual one and that of `system`. */
export async function prepareImages({
  progress,
  system = USUAL_SYSTEM,
}: {
  readonly progress: Progress;
  readonly system?: System;
}): Promise<Images> {
  const hubAnswers = await canPull();
  const builder = new ImageBuilder(progress, await readBaseContents(hubAnswers, progress));
  const published: Record<string, string> = {};
  const overrides: Record<string, string> = {};
  const offers = OTHERS.map(async ({ name, recipe, made = name, setting }) => {
    if (hubAnswers && (await pull(name, progress))) {
      published[name] = name;
      return;
    }
    published[made] = await builder.build(recipe);
    if (setting !== undefined) overrides[setting] = made;
  });
  const own = Object.entries(OURS).map(
    async ([name, recipe]) => (published[name] = await builder.build(recipe)),
  );
  const rest = FOR_THE_REHEARSAL.map(async (name) => [name, await builder.build(name)] as const);
  const systems = [...new Set([USUAL_SYSTEM, system])].map(
    async (name) => [name, await builder.build(SYSTEMS[name])] as const,
  );
  await Promise.all([...offers, ...own, ...rest, ...systems]);
  const tags = Object.fromEntries(await Promise.all(rest)) as Record<
    (typeof FOR_THE_REHEARSAL)[number],
    string
  >;
  const bases = { PYTHON: await builder.build("python"), NGINX: await builder.build("nginx") };
  return { ...tags, systems: Object.fromEntries(await Promise.all(systems)), published, bases, overrides };
}

/** Contents of the base images: this machine's package sources, or Debian's own images where they can be pulled. */
async function readBaseContents(
  hubAnswers: boolean,
  progress: Progress,
): Promise<Record<Release, BaseContent>> {
  const certificates = await readMachineCertificates();
  const sources = await ensureSources(progress);
  const content = async (release: Release): Promise<BaseContent> => {
    const slim = `library/debian:${RELEASES[release]}-slim`;
    const lines = renderSources(sources, release);
    const pulled = lines === "" && hubAnswers && (await pull(slim, progress));
    return { sources: lines, certificates, ...(pulled ? { pulled: slim } : {}) };
  };
  const [debian11, debian12, debian13] = [
    await content("debian11"),
    await content("debian12"),
    await content("debian13"),
  ];
  return { debian11, debian12, debian13 };
}

/** APT knows the origin of its sources only after an update. */
async function ensureSources(progress: Progress): Promise<Source[]> {
  const sources = await readSources();
  if (sources.length > 0 || process.getuid?.() !== 0) return sources;
  progress("reading APT's package lists …");
  await run(aptCommand([]));
  return readSources();
}

/** Builds each image once, after the images below it, `AT_ONCE` at the same time. */
class ImageBuilder {
  readonly #progress: Progress;
  readonly #baseContents: Readonly<Record<Release, BaseContent>>;
  readonly #builds = new Map<string, Promise<string>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(progress: Progress, baseContents: Readonly<Record<Release, BaseContent>>) {
    this.#progress = progress;
    this.#baseContents = baseContents;
  }

  /** Returns the image's tag, which contains the hash of its contents. */
  build(name: string): Promise<string> {
    const known = this.#builds.get(name);
    if (known !== undefined) return known;
    const build = isRelease(name) ? this.#base(name) : this.#fromRecipe(name);
    this.#builds.set(name, build);
    return build;
  }

  async #fromRecipe(name: string): Promise<string> {
    const recipe = RECIPES[name];
    if (recipe === undefined) throw new Error(`there is no recipe for the image ${name}`);
    const folder = join(FOLDER, recipe.folder);
    // Where the image has to be built in any case, npm need not wait for the images below it.
    const isNew =
      recipe.npm === true && (await docker(["images", "--quiet", `${REPOSITORY}/${name}`])) === "";
    const early = isNew ? installInto(folder) : undefined;
    early?.catch(() => undefined);
    const images = Object.entries(recipe.images).map(
      async ([argument, image]) => [argument, await this.build(image)] as const,
    );
    const args = [...(await Promise.all(images)), ...Object.entries(recipe.values ?? {})];
    const content = await hashFolder(folder, JSON.stringify(args));
    return this.#ensure(name, content, async (tag) => {
      const context = recipe.npm === true ? await (early ?? installInto(folder)) : folder;
      const proxies = PROXIES.flatMap((variable) => (process.env[variable] === undefined ? [] : [variable]));
      try {
        await docker(
          [
            ...["build", "--quiet", "--force-rm", "--tag", tag],
            ...args.flatMap(([argument, value]) => ["--build-arg", `${argument}=${value}`]),
            ...proxies.flatMap((variable) => ["--build-arg", variable]),
            context,
          ],
          // Debian's engine has no newer builder for the client to talk to.
          { environment: { DOCKER_BUILDKIT: "0" } },
        );
      } finally {
        if (context !== folder) await rm(context, { recursive: true });
      }
    });
  }

  async #base(release: Release): Promise<string> {
    const content = this.#baseContents[release];
    const hash = await hashFolder(join(FOLDER, "base"), describeBase(release, content));
    return this.#ensure(release, hash, (tag) =>
      buildBase(release, content, { tag, progress: this.#progress }),
    );
  }

  async #ensure(name: string, content: string, make: (tag: string) => Promise<void>): Promise<string> {
    const tag = `${REPOSITORY}/${name}:${content.slice(0, 12)}`;
    if ((await docker(["images", "--quiet", tag])).trim() !== "") return tag;
    await this.#takePlace(RECIPES[name]?.first === true || name === "debian13");
    const began = Date.now();
    try {
      this.#progress(`building the image ${name} …`);
      await make(tag);
      this.#progress(`built the image ${name} in ${Math.round((Date.now() - began) / 1000)} s`);
    } finally {
      this.#leavePlace();
    }
    return tag;
  }

  async #takePlace(isFirst: boolean): Promise<void> {
    if (this.#running < AT_ONCE) this.#running += 1;
    else {
      await new Promise<void>((resolve) => {
        if (isFirst) this.#waiting.unshift(resolve);
        else this.#waiting.push(resolve);
      });
    }
  }

  /** Gives the place to the next in the queue, or frees it. */
  #leavePlace(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

/** A copy of a folder with its npm packages installed from the lock file and its script "slim" run. */
async function installInto(folder: string): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), "technicia-context-"));
  try {
    await cp(folder, context, { recursive: true });
    await run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: context });
    await run(["npm", "run", "--if-present", "slim"], { cwd: context });
    return context;
  } catch (error) {
    await rm(context, { recursive: true });
    throw error;
  }
}

/** Content and executable bits of a folder's files, whatever their dates. */
async function hashFolder(folder: string, seed: string): Promise<string> {
  const hash = createHash("sha256").update(seed);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) {
    const { mode } = await stat(file);
    hash.update(`${file.slice(folder.length)} ${mode & 0o111 ? "x" : "-"}\n`).update(await readFile(file));
  }
  return hash.digest("hex");
}

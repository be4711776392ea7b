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
import {
  isLast,
  MAILPIT,
  OTHERS,
  OURS,
  type Recipe,
  RECIPES,
  type System,
  SYSTEMS,
  type Upstream,
  USUAL_SYSTEM,
} from "./catalog.ts";
import { buildProgram, programKey, type ProgramName } from "./programs.ts";
import { trustingCallers, trustingImage } from "./trusting.ts";
import { canPull, isPulled, pull } from "./upstream.ts";

const FOLDER = import.meta.dirname;
const REPOSITORY = "technicia-rehearsal";
const AT_ONCE = 2;
const PROXIES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
const FOR_THE_REHEARSAL = ["router", "scanner", "clouds", "registry", "pebble", "s3"] as const;

/** Images of one rehearsal, by their tags in the local engine. */
export interface Images extends Readonly<Record<(typeof FOR_THE_REHEARSAL)[number], string>> {
  /** OVH's name of an operating system → local tag of its server image, for those that were asked for. */
  readonly systems: Readonly<Record<string, string>>;

  /** The mail server, which no visitor waits for; undefined before `addOthers`. */
  readonly mailpit?: string;

  /** Name at Docker Hub → local tag, for all that the rehearsal's registry offers. */
  readonly published: Readonly<Record<string, string>>;

  /** Build argument → local tag, of the images below TechnicIA's own services. */
  readonly bases: Readonly<Record<string, string>>;

  /** Settings (`technicia:images` keys) that name an image which can be had here instead of the committed one. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** Without which nobody is served, and the way to the others. */
export interface FirstImages {
  readonly images: Images;

  /** Whether all others are here already. */
  readonly areOthersHere: boolean;

  /** Builds the others; with those that were built first, all images. */
  readonly addOthers: (signal?: AbortSignal) => Promise<Images>;
}

interface PrepareOptions {
  readonly progress: Progress;
  readonly system?: System;

  /** Certificate (path of a PEM) that images trust whose programs call vendors. @default they trust no further one */
  readonly authority?: string;
}

/** Builds every image whose contents have changed or that does not exist yet; of server images the usual one and that of `system`. */
export async function prepareImages(options: PrepareOptions): Promise<Images> {
  const { addOthers } = await prepareFirstImages(options);
  return addOthers();
}

/** The same in two steps, for whoever need not wait for all. */
export async function prepareFirstImages(options: PrepareOptions): Promise<FirstImages> {
  const { progress, system = USUAL_SYSTEM, authority } = options;
  const hubAnswers = await canPull();
  const builder = new ImageBuilder(progress, await readBaseContents(hubAnswers, progress));
  const origin = { builder, hubAnswers, progress };
  const [first, others] = [false, true].map((isLate) =>
    OTHERS.filter(({ recipe }) => isLast(recipe) === isLate),
  ) as [Upstream[], Upstream[]];

  const offers = offer(first, origin);
  const own = Object.entries(OURS).map(
    async ([name, recipe]) => [name, await builder.build(recipe)] as const,
  );
  const rest = FOR_THE_REHEARSAL.map(async (name) => [name, await builder.build(name)] as const);
  const systems = [...new Set([USUAL_SYSTEM, system])].map(
    async (name) => [name, await builder.build(SYSTEMS[name])] as const,
  );
  await Promise.all([offers, ...own, ...rest, ...systems]);
  const tags = Object.fromEntries(await Promise.all(rest)) as Record<
    (typeof FOR_THE_REHEARSAL)[number],
    string
  >;
  const { published, overrides } = await offers;
  const plain = { ...published, ...Object.fromEntries(await Promise.all(own)) };
  const python = await builder.build("python");
  const images: Images = {
    ...tags,
    systems: Object.fromEntries(await Promise.all(systems)),
    published: authority === undefined ? plain : await trustingCallers(plain, authority),
    bases: {
      PYTHON: authority === undefined ? python : await trustingImage(python, authority),
      NGINX: await builder.build("nginx"),
    },
    overrides,
  };
  const areHere = [...others, MAILPIT].map(
    async ({ name, recipe }) => (hubAnswers && (await isPulled(name))) || (await builder.isBuilt(recipe)),
  );
  const addOthers = async (signal?: AbortSignal): Promise<Images> => {
    builder.stopAt(signal);
    const [added, mail] = await Promise.all([offer(others, origin), offer([MAILPIT], origin)]);
    return {
      ...images,
      published: { ...images.published, ...added.published },
      overrides: { ...images.overrides, ...added.overrides },
      mailpit: mail.published[MAILPIT.name] as string,
    };
  };
  return { images, areOthersHere: (await Promise.all(areHere)).every(Boolean), addOthers };
}

interface Origin {
  readonly builder: ImageBuilder;
  readonly hubAnswers: boolean;
  readonly progress: Progress;
}

/** Pulls or builds third-party images. */
async function offer(
  upstreams: readonly Upstream[],
  { builder, hubAnswers, progress }: Origin,
): Promise<Pick<Images, "published" | "overrides">> {
  const published: Record<string, string> = {};
  const overrides: Record<string, string> = {};
  await Promise.all(
    upstreams.map(async ({ name, recipe, made = name, setting }) => {
      if (hubAnswers && (await pull(name, progress))) {
        published[name] = name;
        return;
      }
      published[made] = await builder.build(recipe);
      if (setting !== undefined) overrides[setting] = made;
    }),
  );
  return { published, overrides };
}

/** Builds one image, and those below it, unless they exist. Returns its local tag. */
export async function prepareImage(
  name: string,
  { progress }: { readonly progress: Progress },
): Promise<string> {
  const builder = new ImageBuilder(progress, await readBaseContents(await canPull(), progress));
  return builder.build(name);
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
  #signal: AbortSignal | undefined;

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

  /** Ends what is compiled from now on when the signal is aborted. */
  stopAt(signal: AbortSignal | undefined): void {
    this.#signal = signal;
  }

  /** Whether an image is here already. */
  async isBuilt(name: string): Promise<boolean> {
    return isPulled((await this.#describe(name)).tag);
  }

  async #fromRecipe(name: string): Promise<string> {
    const recipe = recipeOf(name);
    const folder = join(FOLDER, recipe.folder);
    // Where the image has to be built in any case, npm need not wait for the images below it.
    const isNew =
      recipe.npm === true && (await docker(["images", "--quiet", `${REPOSITORY}/${name}`])) === "";
    const early = isNew ? installInto(folder) : undefined;
    early?.catch(() => undefined);
    await Promise.all(Object.values(recipe.images).map((image) => this.build(image)));
    const { tag, args } = await this.#describe(name);
    if (await isPulled(tag)) return tag;
    // Not in one of the places: a compiler that waits for all others would keep them waiting.
    const program = recipe.program && (await this.#buildProgram(recipe.program));
    return this.#make(name, tag, async () => {
      const context = await makeContext(recipe, { early, program });
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

  #buildProgram(name: ProgramName): Promise<string> {
    return buildProgram(name, { progress: this.#progress, ...(this.#signal && { signal: this.#signal }) });
  }

  async #base(release: Release): Promise<string> {
    const { tag } = await this.#describe(release);
    if (await isPulled(tag)) return tag;
    const content = this.#baseContents[release];
    return this.#make(release, tag, () => buildBase(release, content, { tag, progress: this.#progress }));
  }

  /** Tag and build arguments of an image, which its contents decide; nothing is built for that. */
  async #describe(name: string): Promise<{ tag: string; args: (readonly [string, string])[] }> {
    const tagged = (content: string): string => `${REPOSITORY}/${name}:${content.slice(0, 12)}`;
    if (isRelease(name)) {
      const seed = describeBase(name, this.#baseContents[name]);
      return { tag: tagged(await hashFolder(join(FOLDER, "base"), seed)), args: [] };
    }
    const { folder, images, values = {}, program } = recipeOf(name);
    const below = Object.entries(images).map(
      async ([argument, image]) => [argument, (await this.#describe(image)).tag] as const,
    );
    const args = [...(await Promise.all(below)), ...Object.entries(values)];
    const key = program === undefined ? [] : [await programKey(program)];
    return { tag: tagged(await hashFolder(join(FOLDER, folder), JSON.stringify([...args, ...key]))), args };
  }

  async #make(name: string, tag: string, make: () => Promise<void>): Promise<string> {
    await this.#takePlace(RECIPES[name]?.first === true || name === "debian13");
    const began = Date.now();
    try {
      this.#progress(`building the image ${name} …`);
      await make();
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

function recipeOf(name: string): Recipe {
  const recipe = RECIPES[name];
  if (recipe === undefined) throw new Error(`there is no recipe for the image ${name}`);
  return recipe;
}

/** Folder that an image is built from: the recipe's own, or a copy with what is put into it. */
async function makeContext(
  recipe: Recipe,
  { early, program }: { readonly early: Promise<string> | undefined; readonly program: string | undefined },
): Promise<string> {
  const folder = join(FOLDER, recipe.folder);
  if (recipe.npm === true) return early ?? installInto(folder);
  if (program === undefined) return folder;
  const context = await mkdtemp(join(tmpdir(), "technicia-context-"));
  await cp(folder, context, { recursive: true });
  await cp(program, join(context, "program"));
  return context;
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

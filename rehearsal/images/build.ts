import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { docker, type Progress, run, UserError } from "../docker.ts";

const FOLDER = import.meta.dirname;
const REPOSITORY = "technicia-rehearsal";
const LABEL = "technicia.rehearsal=1";
const AT_ONCE = 2;
const SUITE = "bookworm";
const BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
const PROBE_MS = 4000;

/** Images of one rehearsal, by their tags in the local engine. */
export interface Images {
  readonly server: string;
  readonly router: string;
  readonly scanner: string;
  readonly clouds: string;
  readonly registry: string;
  readonly pebble: string;

  /** Name at Docker Hub → local tag, for all that the rehearsal's registry offers. */
  readonly published: Readonly<Record<string, string>>;

  /** Settings (`technicia:images` keys) that name an image which can be had here instead of the committed one. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** How one image is made from `folder`: build arguments that are other images, and plain ones. */
interface Recipe {
  readonly folder: string;
  readonly images?: Readonly<Record<string, string>>;
  readonly values?: Readonly<Record<string, string>>;
  readonly target?: string;
  /** Whether the folder's npm packages are installed into the build's context first. */
  readonly npm?: boolean;
}

const onBase = (folder: string): Recipe => ({ folder, images: { BASE: "base" } });
const onPython = (folder: string, values: Record<string, string>): Recipe => ({ folder, images: { PYTHON: "python" }, values });

const RECIPES: Readonly<Record<string, Recipe>> = {
  server: onBase("server"),
  router: onBase("router"),
  scanner: onBase("scanner"),
  registry: onBase("registry"),
  pebble: onBase("pebble"),
  nginx: onBase("nginx"),
  certbot: onBase("certbot"),
  postgres: onBase("postgres"),
  python: onBase("python"),
  "node-build": { ...onBase("node"), target: "build", npm: true },
  node: { ...onBase("node"), npm: true },
  clouds: { folder: "clouds", images: { BASE: "base", NODE: "node" } },
  n8n: { folder: "n8n", images: { BUILD: "node-build", NODE: "node" } },
  qdrant: onPython("qdrant", { VERSION: "1.19.0" }),
  "qdrant-next": onPython("qdrant", { VERSION: "1.19.1" }),
  "vector-store": onPython("vector-store", { VERSION: "1.0.0" }),
  "vector-store-next": onPython("vector-store", { VERSION: "1.0.1" }),
  "vector-store-sick": onPython("vector-store", { VERSION: "1.0.2", SICK: "yes" }),
  "document-processor": onPython("document-processor", { VERSION: "1.0.0" }),
  "vision-classifier": onPython("vision-classifier", { VERSION: "1.0.0" }),
  frontend: { folder: "frontend", images: { NGINX: "nginx" }, values: { VERSION: "1.0.0" } },
};

/** Name at Docker Hub → recipe. Those of others are pulled instead where that is possible. */
const OURS = {
  "technicia/vector-store:1.0.0": "vector-store",
  "technicia/vector-store:1.0.1": "vector-store-next",
  "technicia/vector-store:1.0.2-sick": "vector-store-sick",
  "technicia/document-processor:1.0.0": "document-processor",
  "technicia/vision-classifier:1.0.0": "vision-classifier",
  "technicia/frontend:1.0.0": "frontend",
};
const OTHERS = {
  "qdrant/qdrant:v1.19.0-unprivileged": "qdrant",
  "qdrant/qdrant:v1.19.1-unprivileged": "qdrant-next",
  "library/nginx:1.30.4-alpine": "nginx",
  "certbot/certbot:v5.8.0": "certbot",
  "library/postgres:17.9-bookworm": "postgres",
  "n8nio/n8n:2.3.6": "n8n",
};

/** Builds what is missing; an image is missing when anything that it is made from has changed. */
export async function prepareImages({ progress }: { progress: Progress }): Promise<Images> {
  const workshop = new Workshop(progress);
  const others = (await canPull()) ? await pullAll(Object.keys(OTHERS), progress) : OTHERS;
  const pulled = others !== OTHERS;
  const wanted = ["server", "router", "scanner", "clouds", "registry", "pebble"] as const;
  const named = Object.entries({ ...OURS, ...(pulled ? {} : OTHERS) });
  // The longest first, or it would start when all others are done.
  const order = ["n8n", ...wanted, ...named.map(([, recipe]) => recipe)].filter((name) => !pulled || name !== "n8n");
  const tags = new Map(await Promise.all(order.map(async (name) => [name, await workshop.build(name)] as const)));
  const tag = (name: string): string => tags.get(name) ?? fail(name);
  return {
    ...(Object.fromEntries(wanted.map((name) => [name, tag(name)])) as Record<(typeof wanted)[number], string>),
    published: {
      ...Object.fromEntries(named.map(([name, recipe]) => [name, tag(recipe)])),
      ...(pulled ? others : {}),
    },
    overrides: pulled ? {} : { n8n: "n8nio/n8n:2.3.6" },
  };
}

/** Builds each image once, its foundations first, `AT_ONCE` at the same time. */
class Workshop {
  readonly #progress: Progress;
  readonly #builds = new Map<string, Promise<string>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  build(name: string): Promise<string> {
    const known = this.#builds.get(name);
    if (known !== undefined) return known;
    const build = name === "base" ? this.#base() : this.#fromRecipe(name);
    this.#builds.set(name, build);
    return build;
  }

  async #fromRecipe(name: string): Promise<string> {
    const recipe = RECIPES[name] ?? fail(name);
    const foundations = await Promise.all(
      Object.entries(recipe.images ?? {}).map(async ([argument, image]) => [argument, await this.build(image)] as const),
    );
    const args = [...foundations, ...Object.entries(recipe.values ?? {})];
    const folder = join(FOLDER, recipe.folder);
    const content = await hashFolder(folder, JSON.stringify([args, recipe.target ?? ""]));
    return this.#ensure(name, content, async (tag) => {
      const context = recipe.npm === true ? await installInto(folder) : folder;
      try {
        await docker(
          [
            ...["build", "--quiet", "--force-rm", "--label", LABEL, "--tag", tag],
            ...args.flatMap(([argument, value]) => ["--build-arg", `${argument}=${value}`]),
            ...(recipe.target === undefined ? [] : ["--target", recipe.target]),
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

  /** Debian's smallest root, trusting what this machine trusts: its network may have an authority of its own. */
  async #base(): Promise<string> {
    const hash = createHash("sha256").update(await readFile(import.meta.filename, "utf8").then(baseScript));
    const bundle = existsSync(BUNDLE) ? await readFile(BUNDLE, "utf8") : "";
    const content = hash.update(bundle).digest("hex");
    return this.#ensure("base", content, async (tag) => {
      await requireProgram("mmdebstrap", "mmdebstrap", this.#progress);
      const folder = await mkdtemp(join(tmpdir(), "technicia-base-"));
      try {
        const root = join(folder, "root.tar");
        await run("mmdebstrap", baseArguments(root, bundle !== ""));
        await docker(["import", "--change", `LABEL ${LABEL}`, root, tag]);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  async #ensure(name: string, content: string, make: (tag: string) => Promise<void>): Promise<string> {
    const tag = `${REPOSITORY}/${name}:${content.slice(0, 12)}`;
    if ((await docker(["images", "--quiet", tag])).trim() !== "") return tag;
    await this.#enter();
    try {
      this.#progress(`building the image ${name} …`);
      await make(tag);
      this.#progress(`built the image ${name}`);
    } finally {
      this.#leave();
    }
    return tag;
  }

  async #enter(): Promise<void> {
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

function baseArguments(root: string, hasBundle: boolean): string[] {
  const trust = "/usr/local/share/ca-certificates";
  const hooks = [
    `install -d "$1${trust}" && cp ${BUNDLE} "$1${trust}/machine.crt"`,
    'chroot "$1" update-ca-certificates >/dev/null 2>&1',
  ];
  return [
    ...["--variant=minbase", "--include=ca-certificates", "--quiet"],
    ...(hasBundle ? hooks.map((hook) => `--customize-hook=${hook}`) : []),
    ...[SUITE, root],
  ];
}

/** The part of this file that decides what the base image is. */
function baseScript(source: string): string {
  return source.slice(source.indexOf("function baseArguments"), source.indexOf("/** The part of this file"));
}

async function requireProgram(program: string, packageName: string, progress: Progress): Promise<void> {
  if (await run("which", [program]).then(() => true, () => false)) return;
  if (!existsSync("/usr/bin/apt-get")) {
    throw new UserError(`${program}: expected it on this machine, got nothing; install it with this system's package manager`);
  }
  progress(`installing ${packageName} with apt`);
  await run("apt-get", ["update"]);
  const quietly = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["install", "--yes", packageName, "debian-archive-keyring"], { environment: quietly });
}

/** A copy of a folder with its npm packages installed from the lock file. */
async function installInto(folder: string): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), "technicia-context-"));
  await cp(folder, context, { recursive: true });
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: context });
  return context;
}

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

/** Whether Docker Hub answers within seconds. */
async function canPull(): Promise<boolean> {
  try {
    await fetch(`https://${HUB}/v2/`, { signal: AbortSignal.timeout(PROBE_MS) });
    return true;
  } catch {
    return false;
  }
}

/** The name under which every engine asks for an image that names no registry. */
export const HUB = "registry-1.docker.io";

async function pullAll(names: readonly string[], progress: Progress): Promise<Record<string, string>> {
  for (const name of names) {
    if ((await docker(["images", "--quiet", name])).trim() !== "") continue;
    progress(`pulling ${name}`);
    await docker(["pull", "--quiet", name]);
  }
  return Object.fromEntries(names.map((name) => [name, name]));
}

function fail(name: string): never {
  throw new Error(`there is no recipe for the image ${name}`);
}

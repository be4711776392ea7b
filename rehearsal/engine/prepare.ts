import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { cacheFolder } from "../../common/cache-folder.ts";
import { readPluginNeeds, type PluginNeed } from "../../common/plugin-needs.ts";
import { buildEngine, findBuiltEngine, type BuiltEngine } from "./from-source.ts";
import { readFolderEngine } from "./from-folder.ts";
import {
  fetchOfficialEngine,
  findOfficialEngine,
  type OfficialEngine,
  type OfficialOptions,
} from "./from-official.ts";
import { furnishHome, type Part } from "./plugins.ts";
import { NPM_PROGRAMS } from "./programs.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const INSTALLER = "https://get.pulumi.com/install.sh";
const FAKE_PLUGINS = ["command", "cloudflare", "ovh"];

/** What the engine is to be prepared for. */
export interface PrepareOptions {
  /** Called before everything that takes more than a moment. */
  readonly progress: (text: string) => void;

  /**
   * Pulumi's own folder: its plugin cache and which stack is selected.
   *
   * @default `.rehearsal/pulumi` in the checkout
   */
  readonly home?: string;

  /**
   * Variables that the choice depends on: REHEARSAL_ENGINE, PATH, HOME, XDG_CACHE_HOME, PULUMI_HOME.
   *
   * @default those of this process
   */
  readonly environment?: NodeJS.ProcessEnv;

  /**
   * Address that answers if the official engine can be downloaded.
   *
   * @default the one that the npm launcher downloads from
   */
  readonly installer?: string;
}

/** An engine that is ready to run the program. */
export interface Engine {
  /** Which engine it is, for the person who started the rehearsal. */
  readonly description: string;

  /** The CLI. */
  readonly pulumi: string;

  /** Variables that make the CLI use these parts only; to be added to the caller's own. */
  readonly environment: Readonly<Record<string, string>>;

  /** Version of each part, by its name. */
  readonly versions: Readonly<Record<string, string>>;
}

interface Choice {
  readonly description: string;
  readonly pulumi: string;
  readonly parts: readonly Part[];
  readonly versions: Record<string, string>;
}

/** Finds, downloads or builds an engine. */
export async function prepareEngine(options: PrepareOptions): Promise<Engine> {
  const environment = options.environment ?? process.env;
  const home = options.home ?? join(CHECKOUT, ".rehearsal", "pulumi");
  const choice = await choose({ ...options, environment });

  await furnishHome(home, choice);

  return {
    description: choice.description,
    pulumi: choice.pulumi,
    environment: {
      // The official language host runs the first node that it finds, and that has to be the project's own.
      PATH: [dirname(choice.pulumi), NPM_PROGRAMS, environment.PATH ?? ""].join(delimiter),
      PULUMI_HOME: home,
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
      PULUMI_SKIP_UPDATE_CHECK: "true",
    },
    versions: { node: process.version.replace(/^v/, ""), ...choice.versions },
  };
}

async function choose(options: PrepareOptions & { environment: NodeJS.ProcessEnv }): Promise<Choice> {
  const { environment, progress } = options;
  const cache = join(cacheFolder(environment), "engine");
  const needs = await readPluginNeeds();

  const folder = environment.REHEARSAL_ENGINE;
  if (folder !== undefined && folder !== "") {
    return chooseFolder(folder, needs);
  }

  const official: OfficialOptions = {
    cache,
    environment,
    needs,
    installer: options.installer ?? INSTALLER,
    progress,
  };
  const present = await findOfficialEngine(official);
  if (present !== undefined) {
    return chooseOfficial(present);
  }

  const built = await findBuiltEngine(cache);
  if (built !== undefined) {
    return chooseBuilt(built, needs);
  }

  progress("looking for the official engine");
  const fetched = await fetchOfficialEngine(official);
  if (typeof fetched !== "string") {
    return chooseOfficial(fetched);
  }

  progress(`the official engine is not used: ${fetched}`);
  return chooseBuilt(await buildEngine({ cache, environment, progress }), needs);
}

async function chooseFolder(folder: string, needs: readonly PluginNeed[]): Promise<Choice> {
  const engine = await readFolderEngine(folder, needs);

  return {
    description: `CLI ${engine.pulumiVersion}, language host and plugins from ${dirname(engine.pulumi)} (REHEARSAL_ENGINE)`,
    pulumi: engine.pulumi,
    parts: engine.parts,
    versions: {
      pulumi: engine.pulumiVersion,
      ...Object.fromEntries(needs.map(({ name }) => [name, "as in REHEARSAL_ENGINE"])),
    },
  };
}

function chooseOfficial(engine: OfficialEngine): Choice {
  return {
    description: `official CLI ${engine.pulumiVersion} (${engine.origin}) with the official plugins`,
    pulumi: engine.pulumi,
    parts: engine.plugins,
    versions: {
      pulumi: engine.pulumiVersion,
      ...Object.fromEntries(engine.plugins.map(({ name, version }) => [name, version])),
    },
  };
}

function chooseBuilt(engine: BuiltEngine, needs: readonly PluginNeed[]): Choice {
  const plugins = needs.map(({ name, version }): Part => {
    const file = FAKE_PLUGINS.includes(name) ? fakePlugin(name) : engine.dockerPlugin;
    return { kind: "resource", name, version, file };
  });
  const version = engine.pulumiVersion.replace(/^v/, "");

  return {
    description:
      `CLI ${engine.pulumiVersion} and the docker plugin built from Go modules, ` +
      `a language host of the project's own, fake plugins for ${FAKE_PLUGINS.join(", ")}`,
    pulumi: engine.pulumi,
    parts: [
      { kind: "language", name: "nodejs", version, file: join(HERE, "pulumi-language-nodejs") },
      ...plugins,
    ],
    versions: {
      pulumi: engine.pulumiVersion,
      ...Object.fromEntries(
        plugins.map(({ name, version }) => [
          name,
          FAKE_PLUGINS.includes(name) ? `${version} (fake)` : version,
        ]),
      ),
    },
  };
}

function fakePlugin(name: string): string {
  return fileURLToPath(new URL(`../fake-plugins/${name}/pulumi-resource-${name}`, import.meta.url));
}

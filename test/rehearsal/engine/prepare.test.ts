import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { buildEngine, findBuiltEngine } from "../../../rehearsal/engine/from-source.ts";
import { readPluginNeeds } from "../../../common/plugin-needs.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { startHttpDouble } from "../fake-plugins/http-double.ts";

const PLUGINS = ["command", "docker", "cloudflare", "ovh"];
const BASE_PATH = "/usr/bin:/bin";

let root: string;
let progress: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "technicia-engine-"));
  progress = [];
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function writeProgram(file: string, script: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

/** A CLI that answers its version and installs plugins; what is asked of it goes to `asked`. */
async function writeCli(folder: string, version: string, install = "exit 1"): Promise<void> {
  await writeProgram(join(folder, "pulumi-language-nodejs"), "exit 1");
  await writeProgram(
    join(folder, "pulumi"),
    `echo "$@" >> ${root}/asked
     if [ "$1" = version ]; then echo ${version}; exit 0; fi
     file="$PULUMI_HOME/plugins/resource-$4-v$5/pulumi-resource-$4"
     ${install}`,
  );
}

const INSTALL = 'mkdir -p "$(dirname "$file")" && printf "#!/bin/sh\\n" > "$file" && chmod 755 "$file"';

function prepare(environment: Record<string, string>, installer = "http://127.0.0.1:1/"): Promise<Engine> {
  return prepareEngine({
    progress: (text) => progress.push(text),
    home: join(root, "home"),
    environment: {
      HOME: join(root, "user"),
      XDG_CACHE_HOME: join(root, "cache"),
      PATH: BASE_PATH,
      ...environment,
    },
    installer,
  });
}

async function readLinks(): Promise<Record<string, string>> {
  const plugins = join(root, "home/plugins");
  const links: Record<string, string> = {};
  for (const name of await readdir(plugins)) {
    for (const file of await readdir(join(plugins, name))) {
      links[`${name}/${file}`] = await readlink(join(plugins, name, file));
    }
  }
  return links;
}

async function nameOf(plugin: string): Promise<string> {
  const need = (await readPluginNeeds()).find(({ name }) => name === plugin);
  return `resource-${plugin}-v${need?.version ?? ""}/pulumi-resource-${plugin}`;
}

describe("prepareEngine with REHEARSAL_ENGINE", () => {
  it("takes every part from the folder", async () => {
    const folder = join(root, "mine");
    await writeCli(folder, "v3.300.0");
    for (const plugin of PLUGINS) {
      await writeProgram(join(folder, `pulumi-resource-${plugin}`), "exit 1");
    }

    const engine = await prepare({ REHEARSAL_ENGINE: folder });

    expect(engine.description).toBe(
      `CLI v3.300.0, language host and plugins from ${folder} (REHEARSAL_ENGINE)`,
    );
    expect(engine.pulumi).toBe(join(folder, "pulumi"));
    expect(engine.versions.pulumi).toBe("v3.300.0");
    expect(engine.environment.PATH?.split(":")[0]).toBe(folder);
    const links = await readLinks();
    expect(links["language-nodejs-v3.300.0/pulumi-language-nodejs"]).toBe(
      join(folder, "pulumi-language-nodejs"),
    );
    for (const plugin of PLUGINS) {
      expect(links[await nameOf(plugin)]).toBe(join(folder, `pulumi-resource-${plugin}`));
    }
  });

  it("fails with the list of what is missing", async () => {
    const folder = join(root, "mine");
    await writeCli(folder, "v3.300.0");
    await writeProgram(join(folder, "pulumi-resource-docker"), "exit 1");

    await expect(prepare({ REHEARSAL_ENGINE: folder })).rejects.toMatchObject({
      name: "UserError",
      message: [
        `REHEARSAL_ENGINE: expected executables of all parts in ${folder}, got none at:`,
        ...["command", "cloudflare", "ovh"].map((plugin) => `  ${folder}/pulumi-resource-${plugin}`),
      ].join("\n"),
    });
  });

  it("removes plugins of another engine from the home", async () => {
    await mkdir(join(root, "home/plugins/resource-docker-v1.0.0"), { recursive: true });
    const folder = join(root, "mine");
    await writeCli(folder, "v3.300.0");
    for (const plugin of PLUGINS) {
      await writeProgram(join(folder, `pulumi-resource-${plugin}`), "exit 1");
    }

    await prepare({ REHEARSAL_ENGINE: folder });

    expect(Object.keys(await readLinks())).toHaveLength(5);
    expect(await readdir(join(root, "home/plugins"))).not.toContain("resource-docker-v1.0.0");
  });
});

describe("prepareEngine with an official CLI on PATH", () => {
  const path = () => `${join(root, "bin")}:${BASE_PATH}`;

  it("uses it with the plugins that the user has, without asking the network", async () => {
    await writeCli(join(root, "bin"), "v3.300.0");
    for (const plugin of PLUGINS) {
      await writeProgram(join(root, "user/.pulumi/plugins", await nameOf(plugin)), "exit 1");
    }

    const engine = await prepare({ PATH: path() });

    expect(engine.description).toBe("official CLI v3.300.0 (on PATH) with the official plugins");
    expect(progress).toEqual([]);
    expect((await readLinks())[await nameOf("ovh")]).toBe(
      join(root, "user/.pulumi/plugins", await nameOf("ovh")),
    );
    expect(Object.keys(await readLinks())).toHaveLength(PLUGINS.length);
  });

  it("downloads the plugins that are missing, into the cache and nowhere else", async () => {
    await using installer = await startHttpDouble(() => ({}));
    await writeCli(join(root, "bin"), "v3.300.0", INSTALL);
    await writeProgram(join(root, "user/.pulumi/plugins", await nameOf("command")), "exit 1");

    const engine = await prepare({ PATH: path() }, installer.url);

    expect(engine.description).toContain("with the official plugins");
    expect(installer.lines()).toEqual(["HEAD /"]);
    const links = await readLinks();
    expect(links[await nameOf("docker")]).toBe(
      join(root, "cache/technicia/engine/official/plugins", await nameOf("docker")),
    );
    expect(links[await nameOf("command")]).toBe(join(root, "user/.pulumi/plugins", await nameOf("command")));
    expect(progress.filter((text) => text.startsWith("downloading"))).toHaveLength(3);
    expect(await readdir(join(root, "user/.pulumi/plugins"))).toHaveLength(1);
  });

  it("says why the official engine is not used, and what to do when Go is missing, too", async () => {
    await using installer = await startHttpDouble(() => ({}));
    await writeCli(join(root, "bin"), "v3.300.0", "echo the network said no >&2; exit 1");

    await expect(prepare({ PATH: path() }, installer.url)).rejects.toThrow(
      /^engine: expected Go 1\.\d+.* or later on PATH .* install it from .* or name a folder .* REHEARSAL_ENGINE$/,
    );
    expect(progress.at(-1)).toMatch(
      /^the official engine is not used: its command plugin 1\.2\.1 cannot be had \(the network said no\)$/,
    );
  });

  it("ignores a CLI that is too old, and npm's launcher", async () => {
    await using installer = await startHttpDouble(() => ({ status: 403 }));
    await writeCli(join(root, "bin"), "v3.223.9");
    await writeCli(join(root, "node_modules/.bin"), "v3.300.0");
    for (const plugin of PLUGINS) {
      await writeProgram(join(root, "user/.pulumi/plugins", await nameOf(plugin)), "exit 1");
    }

    await expect(
      prepare({ PATH: `${join(root, "node_modules/.bin")}:${path()}` }, installer.url),
    ).rejects.toThrow("engine: expected Go");
    expect(progress).toEqual([
      "looking for the official engine",
      "the official engine is not used: its downloads cannot be reached (403 Forbidden)",
    ]);
  });
});

describe("buildEngine", () => {
  // A fake of go that writes its output file at once; a real build takes minutes.
  const writeGo = (build: string) => writeProgram(join(root, "go/go"), `[ "$1" = list ] && exit 0\n${build}`);
  const renderBuild = (): string => `
     echo "$PWD GOFLAGS=$GOFLAGS CGO=$CGO_ENABLED" >> ${root}/builds
     while [ "$1" != -o ]; do shift; done
     mkdir -p "$GOCACHE" && printf '#!/bin/sh\\n' > "$2" && chmod 755 "$2"`;

  const start = (onProgress: (text: string) => void = () => undefined) =>
    buildEngine({
      cache: join(root, "cache"),
      environment: { PATH: `${join(root, "go")}:${BASE_PATH}`, GOFLAGS: "-mod=vendor", HOME: root },
      progress: onProgress,
    });

  it("builds once when two runs start at the same time, and finds it afterwards", async () => {
    const gate = join(root, "gate");
    execFileSync("mkfifo", [gate]);
    // The build goes on when the other run has said that it waits.
    await writeGo(`case "$PWD" in */cli) read -r line < ${gate};; esac\n${renderBuild()}`);
    let opened: Promise<void> | undefined;
    const open = (text: string): void => {
      if (text === "another run is building the engine; waiting for it") {
        // Opening blocks until the build reads, and must not hold up the run that is to start it.
        opened = writeFile(gate, "\n");
      }
    };

    const [first, second] = await Promise.all([start(open), start(open)]);

    await opened;
    expect(first).toEqual(second);
    expect(await findBuiltEngine(join(root, "cache"))).toEqual(first);
    const builds = (await readFile(join(root, "builds"), "utf8")).trim().split("\n");
    expect(builds).toHaveLength(2);
    expect(builds[0]).toMatch(/rehearsal\/engine\/cli GOFLAGS= CGO=0$/);
    expect(builds[1]).toMatch(/rehearsal\/engine\/docker GOFLAGS= CGO=0$/);
  });

  it("leaves nothing that could be taken for an engine when it fails, and says why", async () => {
    await writeGo(`echo "go: downloading x" >&2; echo "no space left on device" >&2; exit 1`);

    await expect(start()).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(
        /cli to succeed, got exit code 1; .*\nno space left on device$/,
      ) as string,
    });

    expect(await findBuiltEngine(join(root, "cache"))).toBeUndefined();
    expect(await readdir(join(root, "cache"))).toEqual(["build.lock"]);
  });

  it("removes what a killed run left", async () => {
    await mkdir(join(root, "cache/partial-killed"), { recursive: true });
    await writeGo(renderBuild());

    await start();

    expect((await readdir(join(root, "cache"))).filter((name) => name.startsWith("partial-"))).toEqual([]);
  });
});

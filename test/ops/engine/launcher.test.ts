/** The CLI as `npm ci` installs it: npm's own launcher on PATH, and the CLI in the launcher's cache. */
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { PulumiFailure, pulumiOnPath } from "../../../ops/engine/cli.ts";
import { findPulumi } from "../../../ops/engine/program.ts";
import { BIN, fillCache, LAUNCHER_VERSION } from "./launcher.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "launcher-"));
  vi.stubEnv("PULUMI_HOME", folder);
  vi.stubEnv("PULUMI_VERSION", "");
  vi.stubEnv("PATH", `${BIN}:${process.env["PATH"] ?? ""}`);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe("pulumiOnPath, with npm's launcher", () => {
  it("interrupts the engine once, waits until it has saved the state, and gives its own end", async () => {
    const ended = join(folder, "ended");
    await fillCache(
      folder,
      `trap 'echo interrupted >> "${ended}"' INT
       echo started
       while [ ! -e "${ended}" ]; do sleep 0.05; done
       sleep 0.2
       echo saved >> "${ended}"
       echo "error: update cancelled" >&2
       exit 255`,
    );
    const stop = new AbortController();
    const call = pulumiOnPath({ args: ["up"], signal: stop.signal, onLine: () => stop.abort() });

    await expect(call).rejects.toThrow("pulumi up failed: error: update cancelled");
    await expect(call).rejects.toThrow(PulumiFailure);
    expect(await readFile(ended, "utf8")).toBe("interrupted\nsaved\n");
  });

  it("takes an engine that succeeds although it was interrupted for what it is", async () => {
    await fillCache(folder, "trap 'echo done; exit 0' INT; echo started; while :; do sleep 0.05; done");
    const stop = new AbortController();

    expect(await pulumiOnPath({ args: ["up"], signal: stop.signal, onLine: () => stop.abort() })).toBe(
      "started\ndone\n",
    );
  });

  it("finds the language hosts beside the CLI, as the launcher does", async () => {
    await fillCache(folder, 'echo "$PATH"');

    const path = await pulumiOnPath({ args: ["version"] });
    expect(path.split(":")[0]).toBe(join(folder, "versions", LAUNCHER_VERSION, "bin"));
  });
});

describe("pulumiOnPath, with another program in front of the CLI that passes no signal on", () => {
  it("interrupts the engine all the same, and waits until it has saved the state", async () => {
    const saved = join(folder, "saved");
    const cli = join(folder, "cli");
    await writeProgram(
      cli,
      `#!/bin/sh\ntrap 'sleep 0.2; touch "${saved}"; exit 0' INT; echo started; while :; do sleep 0.05; done`,
    );
    const start = `require("node:child_process").spawn(${JSON.stringify(cli)}, { stdio: "inherit" })`;
    await writeProgram(join(folder, "pulumi"), `#!${process.execPath}\n${start}\n`);
    vi.stubEnv("PATH", `${folder}:${process.env["PATH"] ?? ""}`);
    const stop = new AbortController();

    await expect(
      pulumiOnPath({ args: ["up"], signal: stop.signal, onLine: () => stop.abort() }),
    ).rejects.toThrow(PulumiFailure);
    expect(await readFile(saved, "utf8")).toBe("");
  });
});

describe("findPulumi", () => {
  it("takes the version that PULUMI_VERSION names", async () => {
    await fillCache(folder, "exit 0", "3.200.0");

    expect((await findPulumi({ ...process.env, PULUMI_VERSION: "3.200.0" })).path).toBe(
      join(folder, "versions", "3.200.0", "bin", "pulumi"),
    );
  });

  it("lets the launcher install the CLI first", async () => {
    const bin = await fakeLauncher(`mkdir -p "$PULUMI_HOME/versions/9.9.9/bin"
      printf '#!/bin/sh\\necho "cli $*"' > "$PULUMI_HOME/versions/9.9.9/bin/pulumi"
      chmod +x "$PULUMI_HOME/versions/9.9.9/bin/pulumi"`);
    vi.stubEnv("PATH", `${bin}:${process.env["PATH"] ?? ""}`);

    expect(await pulumiOnPath({ args: ["up"] })).toBe(
      "cli up --policy-pack stacks/policy --non-interactive\n",
    );
  });

  it("says what to do when the launcher cannot install it", async () => {
    const bin = await fakeLauncher("echo 'pulumi: HTTP 403 fetching install.sh' >&2; exit 1");

    await expect(findPulumi({ ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` })).rejects.toThrow(
      /npm's launcher did not install the Pulumi CLI as \S+9\.9\.9\/bin\/pulumi \(exit code 1\); run npx pulumi version [^]*HTTP 403/,
    );
  });

  it("takes every other pulumi as it is", async () => {
    const path = join(folder, "pulumi");
    await writeProgram(path, "#!/bin/sh\n");

    expect(await findPulumi({ PATH: `/nowhere:${folder}` })).toEqual({ path, environment: {} });
  });

  it("fails where there is none", async () => {
    await mkdir(join(folder, "pulumi"));

    await expect(findPulumi({ PATH: folder })).rejects.toThrow(
      "pulumi: the Pulumi CLI is not on PATH; install it (https://www.pulumi.com/docs/install/) or run npm install",
    );
  });
});

/** npm's package `pulumi` 9.9.9, whose launcher runs this script; gives the folder for PATH. */
async function fakeLauncher(script: string): Promise<string> {
  const [home, bin] = [join(folder, "modules", "pulumi"), join(folder, "modules", ".bin")];
  await mkdir(home, { recursive: true });
  await mkdir(bin);
  await writeFile(join(home, "package.json"), JSON.stringify({ name: "pulumi", version: "9.9.9" }));
  await writeProgram(join(home, "run.js"), `#!/bin/sh\n${script}\n`);
  await symlink("../pulumi/run.js", join(bin, "pulumi"));
  return bin;
}

async function writeProgram(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o755);
}

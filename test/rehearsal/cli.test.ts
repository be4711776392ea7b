import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";

const ROOT = join(import.meta.dirname, "../..");
const SOURCES = ["common", "provider", "rehearsal", "secrets", "package.json", "package-lock.json"];

let checkout: string;

// A checkout of its own: the project's may have a rehearsal under way.
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), "technicia-checkout-"));
  for (const source of SOURCES) {
    await cp(join(ROOT, source), join(checkout, source), { recursive: true });
  }
  await linkAll(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  const lock = await readFile(join(checkout, "package-lock.json"));
  // As npm ci leaves it: nothing has to be installed.
  await rm(join(checkout, "node_modules/.installed-from"), { force: true });
  await writeFile(
    join(checkout, "node_modules/.installed-from"),
    createHash("sha256").update(lock).digest("hex"),
  );
  // What the command line takes for a rehearsal that was started.
  await mkdir(join(checkout, ".rehearsal"));
  await writeFile(join(checkout, ".rehearsal/Pulumi.test.yaml"), "");
});
afterAll(() => rm(checkout, { recursive: true }));

async function linkAll(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const name of await readdir(from)) await symlink(join(from, name), join(to, name));
}

/** Every program that the command line needs but Go, so that it is missing wherever the tests run. */
async function pathWithoutGo(): Promise<string> {
  const folder = join(checkout, "programs");
  await mkdir(folder);
  for (const program of ["sh", "flock", "env"]) {
    await symlink((await run(["sh", "-c", `command -v ${program}`])).trim(), join(folder, program));
  }
  return folder;
}

function askVersion(environment: Readonly<Record<string, string>>) {
  const command = ["rehearsal/bootstrap.mjs", "rehearsal/cli.ts", "pulumi", "version"];
  return tryRun([process.execPath, ...command], {
    cwd: checkout,
    environment: {
      HOME: checkout,
      XDG_CACHE_HOME: join(checkout, "cache"),
      PULUMI_HOME: join(checkout, "pulumi"),
      // Nothing listens there: the official engine cannot be downloaded.
      NODE_USE_ENV_PROXY: "1",
      HTTPS_PROXY: "http://127.0.0.1:9",
      NO_PROXY: "",
      no_proxy: "",
      ...environment,
    },
  });
}

describe("npm run rehearsal", () => {
  it("prints what is missing in the folder that REHEARSAL_ENGINE names, and no stack trace", async () => {
    const { code, stdout, stderr } = await askVersion({ REHEARSAL_ENGINE: "/nonexistent" });

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^REHEARSAL_ENGINE: .*\n( {2}\/nonexistent\/pulumi\S*\n){6}$/);
  });

  it("says how to get Go when it is missing, and prints no stack trace", async () => {
    const { code, stdout, stderr } = await askVersion({ PATH: await pathWithoutGo() });

    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const [last = ""] = stderr.trimEnd().split("\n").slice(-1);
    expect(last).toMatch(/^engine: .*\bGo \d.* on PATH\b.*install it from https:\/\/go\.dev\/dl\//);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it("keeps the stack trace of an error of the project's own", async () => {
    await writeFile(join(checkout, "rehearsal/engine/cli/go.mod"), "module broken\n");

    const { code, stderr } = await askVersion({});

    expect(code).toBe(1);
    expect(stderr).toMatch(/Error: rehearsal\/engine\/cli\/go\.mod names no version/);
    expect(stderr).toMatch(/^\s+at .*from-source\.ts/m);
  });
});

describe("every script that starts the rehearsal or the tests", () => {
  it("ends with the signal that ends it, once its command has ended in order", async () => {
    await writeFile(
      join(checkout, "slow.mjs"),
      'process.on("SIGTERM", () => setTimeout(() => process.exit(5), 300)); console.log("runs"); setInterval(() => undefined, 1000);',
    );
    const bootstrap = spawn(process.execPath, ["rehearsal/bootstrap.mjs", "slow.mjs"], { cwd: checkout });
    const closed = once(bootstrap, "close");
    await once(bootstrap.stdout, "data");
    bootstrap.kill("SIGTERM");

    expect(await closed).toEqual([5, null]);
  });

  it("is replaced by it, so that no shell stands between npm and the command", async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const started = Object.values(scripts).filter((script) => script.includes("bootstrap.mjs"));

    expect(started.length).toBeGreaterThan(4);
    expect(started.filter((script) => !script.startsWith("exec node "))).toEqual([]);
  });
});

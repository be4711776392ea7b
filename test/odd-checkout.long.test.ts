/** The project from folders with names that are legal and rare: a copy of it, with its packages, is started there as people and the engine start it. */
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../common/run.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LONG = "é".repeat(120);

let above: string;
beforeAll(async () => {
  above = await mkdtemp(join(tmpdir(), "technicia-odd-"));
});
afterAll(() => rm(above, { recursive: true }));

/** A copy as a clone of the working tree would be. */
async function copyProject(folder: string): Promise<string> {
  const listed = await run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  const files = listed.split("\0").filter((file) => file !== "" && !/^(test|rehearsal\/images)\//.test(file));
  const checkout = join(above, folder);
  await mkdir(checkout, { recursive: true });
  await run(["cp", "--archive", "--parents", "--target-directory", checkout, "--", ...files], { cwd: ROOT });
  await symlink(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  return checkout;
}

/** Runs a command as a user does whose home has such a name, too. */
function runIn(checkout: string, command: readonly string[]) {
  const home = `${checkout} home`;
  return tryRun(command, {
    cwd: checkout,
    environment: { HOME: home, XDG_CACHE_HOME: "", NODE_COMPILE_CACHE: undefined },
  });
}

const NEW_INCIDENT = [
  ...["--environment", "test", "--title", "Panne", "--priority", "Haute", "--category", "Réseau"],
  ...["--impact", "Aucun", "--description", "Essai", "--symptom", "Rien"],
];

describe.each([
  ["spaces, accents, quotes and what shells read", `Équipe d'"été" $HOME & (x); *?[a]/%41 #1`],
  ["an end of line", "one\ntwo"],
  ["great length", [LONG, LONG, LONG, LONG].join("/")],
])("a checkout and a home with %s in their path", (_, folder) => {
  let checkout: string;
  beforeAll(async () => {
    checkout = await copyProject(folder);
  });

  it.each([
    ["help", /^rollback +<stack>/m],
    ["settings -- --check", /^$/],
  ])("runs npm run %s", async (words, says) => {
    const { stdout, stderr } = await runIn(checkout, ["npm", "run", "--silent", ...words.split(" ")]);

    expect(`${stdout}${stderr}`.trim()).toMatch(says);
  });

  it("keeps the team's documents in the checkout", async () => {
    const opened = await runIn(checkout, [
      "npm",
      "run",
      "--silent",
      "incident",
      "--",
      "new",
      ...NEW_INCIDENT,
    ]);

    expect(opened).toMatchObject({ code: 0, stdout: "opened DEPLOY-001 in docs/deployment-issues.md\n" });
    expect(await readFile(join(checkout, "docs/deployment-issues.md"), "utf8")).toContain("DEPLOY-001");
  });

  it.each(["provider/pulumi-resource-technicia", "rehearsal/engine/pulumi-language-nodejs"])(
    "starts %s for the engine",
    async (program) => {
      expect(await portOf(join(checkout, program))).toMatch(/^\d+\n$/);
    },
  );
});

/** The first line of a plugin is the port that it listens on. */
function portOf(program: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const plugin = spawn(program, ["127.0.0.1:9"], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    plugin.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    plugin.stdout.setEncoding("utf8").once("data", (text: string) => {
      plugin.kill("SIGKILL");
      resolve(text);
    });
    plugin.on("error", reject).on("close", () => reject(new Error(`${program} ended: ${said}`)));
  });
}

describe("a checkout that cannot work", () => {
  it.each([
    ["a colon", "a:b"],
    ["a backslash", "a\\b"],
  ])("is refused by the commands when its path has %s", async (_, folder) => {
    const checkout = await copyProject(folder);

    expect(await runIn(checkout, ["npm", "run", "--silent", "status", "--", "test"])).toMatchObject({
      code: 1,
      stderr: `${checkout}: expected a path without colon and backslash, got one of them; move this checkout\n`,
    });
  });

  it("is refused by the rehearsal when its path has a colon", async () => {
    const checkout = await copyProject("c:d");

    expect(await runIn(checkout, ["npm", "start", "--silent"])).toMatchObject({
      code: 1,
      stderr: `${checkout}: expected a path without a colon, which separates folders in PATH; move this checkout\n`,
    });
  });

  it("is refused without its packages", async () => {
    const checkout = await copyProject("bare");
    await rm(join(checkout, "node_modules"));

    expect(await runIn(checkout, ["npm", "run", "--silent", "status", "--", "test"])).toMatchObject({
      code: 1,
      stderr: `${join(checkout, "node_modules")}: expected the packages of package-lock.json, got none; run npm ci\n`,
    });
  });
});

describe("git", () => {
  it("gives files the line ends of Linux, even where core.autocrlf is on", async () => {
    const checkout = join(above, "windows");
    await run(["git", "-c", "core.autocrlf=true", "clone", "--quiet", "--shared", ROOT, checkout]);
    const attributes = join(checkout, ".gitattributes");
    await cp(join(ROOT, ".gitattributes"), attributes);
    const sample = "provider/pulumi-resource-technicia";
    await rm(join(checkout, sample));
    await run(["git", "-c", "core.autocrlf=true", "checkout", "--quiet", "--", sample], { cwd: checkout });

    expect(await readFile(join(checkout, sample), "utf8")).not.toContain("\r");
  });
});

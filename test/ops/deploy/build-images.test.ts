import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";

import { buildImages } from "../../../ops/deploy/build-images.ts";
import { TestStack } from "./test-stack.ts";

const DIGEST = `sha256:${"d".repeat(64)}`;
const NAME = "registry.exemple.fr/technicia/vector-store";

/** Notes its calls with the configuration that it was given; `fail` makes a subcommand fail. */
const DOCKER = `#!/bin/bash
root=$(dirname "$0")
echo "$*" >> "$root/calls"
if [[ -e $root/fail && $1 == "$(cat "$root/fail")" ]]; then echo "$1 was refused" >&2; exit 1; fi
case $1 in
context) echo unix:///run/user/1000/docker.sock ;;
version) cat "$root/architecture" ;;
login) { echo "$DOCKER_HOST"; stat -c %a "$DOCKER_CONFIG"; cat; } >> "$root/login"; echo "$DOCKER_CONFIG" > "$root/config" ;;
build) for last; do :; done; (cd "$last" && find . -type f | sort) > "$root/context" ;;
push) echo "latest: digest: ${DIGEST} size: 1" ;;
esac
`;

let folder: string;
let commit: string;
let stack: TestStack;

const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b.c", ...args], {
    cwd: join(folder, "repository"),
    encoding: "utf8",
  }).trim();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "build-images-"));
  const service = join(folder, "repository/services/vector-store");
  await mkdir(service, { recursive: true });
  await writeFile(join(service, "Dockerfile"), "FROM scratch\n");
  await writeFile(join(service, "main.py"), "");
  await writeFile(join(folder, "repository/.env"), "SECRET=1\n");
  git("init", "--quiet", "--initial-branch=main");
  git("add", "--all");
  git("commit", "--quiet", "--message=first");
  commit = git("rev-parse", "HEAD");
  // What is not committed does not get into an image.
  await writeFile(join(service, "left-over"), "");

  await mkdir(join(folder, "bin"));
  await writeFile(join(folder, "bin/docker"), DOCKER);
  await chmod(join(folder, "bin/docker"), 0o755);
  await writeFile(join(folder, "bin/architecture"), "amd64\n");
  vi.stubEnv("PATH", `${join(folder, "bin")}:${process.env["PATH"]}`);
  vi.stubEnv("DOCKER_HOST", "");
  // The settings know https and ssh only; git reads the folder in their place.
  vi.stubEnv("GIT_CONFIG_COUNT", "1");
  vi.stubEnv("GIT_CONFIG_KEY_0", `url.file://${join(folder, "repository")}.insteadOf`);
  vi.stubEnv("GIT_CONFIG_VALUE_0", "https://git.exemple.fr/technicia.git");
  stack = await TestStack.open();
  setSource({});
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function setSource(source: Readonly<Record<string, string>>): void {
  const file = parse(stack.settings) as { config: Record<string, Record<string, unknown>> };
  Object.assign(file.config["technicia:images"]!, {
    registry: "registry.exemple.fr/technicia",
    sources: {
      vectorStore: {
        repository: "https://git.exemple.fr/technicia.git",
        commit,
        folder: "services/vector-store",
        ...source,
      },
    },
  });
  stack.settings = stringify(file);
}

/** Sets an account, with a password that the stack's secrets have. */
function setLogin(): void {
  const file = parse(stack.settings) as { config: Record<string, Record<string, unknown>> };
  file.config["technicia:images"]!["registryUser"] = "robot";
  file.config["technicia:registryPassword"] = { secure: "v1:cipher" };
  stack.settings = stringify(file);
}

const build = () => buildImages("test", stack.operator);
const made = (name: string) => readFile(join(folder, "bin", name), "utf8");
const images = () =>
  (parse(stack.settings) as { config: { "technicia:images": Record<string, string> } }).config[
    "technicia:images"
  ];

describe("images build", () => {
  it("builds the commit's folder, labels and pushes the image, and pins its digest", async () => {
    const outcome = await build();

    const name = `${NAME}:${commit.slice(0, 12)}`;
    expect(await made("context")).toBe("./Dockerfile\n./main.py\n");
    const words = (await made("calls")).split("\n").find((line) => line.startsWith("build"));
    expect(words).toContain(
      `--tag ${name} --label org.opencontainers.image.source=https://git.exemple.fr/technicia.git`,
    );
    expect(words).toContain(`--label org.opencontainers.image.revision=${commit}`);
    expect(words).not.toContain("--platform");
    expect(images()).toMatchObject({ vectorStore: `${name}@${DIGEST}`, n8n: "n8nio/n8n:2.41.3" });
    expect(outcome).toEqual({
      exitCode: 0,
      text: expect.stringContaining("look at it with git diff Pulumi.test.yaml") as string,
    });
  });

  it("logs in by standard input, in a configuration of its own that is gone afterwards", async () => {
    setLogin();
    await build();

    expect(await made("login")).toBe("unix:///run/user/1000/docker.sock\n700\nregistry-password");
    expect(await made("calls")).toContain("login --username robot --password-stdin registry.exemple.fr\n");
    expect(await made("calls")).not.toContain("registry-password");
    await expect(readdir((await made("config")).trim())).rejects.toThrow("ENOENT");
  });

  it("builds for the servers' processor on another one", async () => {
    await writeFile(join(folder, "bin/architecture"), "arm64\n");
    await build();

    expect(await made("calls")).toContain(" --platform linux/amd64 ");
  });

  it.each([
    [
      "a commit that is nowhere",
      { commit: "f".repeat(40) },
      /^images\.sources\.vectorStore\.commit: expected a commit of/,
    ],
    [
      "a folder that is not there",
      { folder: "services/nowhere" },
      /\.folder: expected a folder of commit [0-9a-f]{12}, got services\/nowhere/,
    ],
    [
      "a file in its place",
      { folder: "services/vector-store/main.py" },
      /\.folder: expected a folder of commit/,
    ],
    [
      "a folder without a Dockerfile",
      { folder: "services" },
      /\.folder: expected a folder with a Dockerfile, got services without one/,
    ],
    [
      "a repository that cannot be read",
      { repository: "ssh://git@nowhere.invalid/a.git" },
      /\.repository: git cannot read ssh:\/\/git@nowhere\.invalid/,
    ],
  ])("fails for %s before it builds or writes anything", async (_, source, message) => {
    setSource(source);
    const before = stack.settings;

    await expect(build()).rejects.toThrow(message);
    expect(stack.settings).toBe(before);
    expect(await made("calls")).not.toMatch(/^(build|push)/m);
  });

  it.each([
    [
      "login",
      /^registryPassword: registry\.exemple\.fr does not let robot in: login was refused; .* --stack test$/,
    ],
    [
      "build",
      /^images\.sources\.vectorStore: its Dockerfile does not build:\nbuild was refused\nfix it there/,
    ],
    [
      "push",
      /^images\.registry: expected registry\.exemple\.fr\/technicia\/vector-store:.* to be accepted, got: push was refused/,
    ],
  ])("pins nothing when Docker's %s fails", async (command, message) => {
    setLogin();
    await writeFile(join(folder, "bin/fail"), command);
    const before = stack.settings;

    await expect(build()).rejects.toThrow(message);
    expect(stack.settings).toBe(before);
  });

  it("says which settings it needs when there is no source", async () => {
    const file = parse(stack.settings) as { config: Record<string, Record<string, unknown>> };
    delete file.config["technicia:images"]!["sources"];
    stack.settings = stringify(file);

    await expect(build()).rejects.toThrow(
      /^technicia:images\.sources\.vectorStore: expected where the service's code is, got nothing; set it with\n {2}pulumi config set --path technicia:images\.sources\.vectorStore\.repository/,
    );
  });
});

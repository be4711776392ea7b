import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { run } from "../../../common/run.ts";
import { findKeyProblem } from "../../../provider/ssh/key-file.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "key-file-"));
  vi.stubEnv("SSH_AUTH_SOCK", "");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function createKey(name: string, ...args: readonly string[]): { path: string; publicKey: string } {
  const path = join(folder, name);
  const passphrase = args.includes("-N") ? [] : ["-N", ""];
  expect(spawnSync("ssh-keygen", ["-q", ...passphrase, "-f", path, ...args]).status).toBe(0);
  return { path, publicKey: readFileSync(`${path}.pub`, "utf8").trim() };
}

const problemOf = async (privateKeyFile: string, publicKey: string): Promise<string | undefined> => {
  const found = await findKeyProblem({
    privateKeyFile,
    publicKey,
    agentSocket: process.env["SSH_AUTH_SOCK"],
  });
  return found && `${found.setting}: ${found.text}`;
};

/** The same key with another text in its file. */
function rewritten(change: (text: string) => string | Buffer): { path: string; publicKey: string } {
  const key = createKey("key", "-t", "ed25519");
  writeFileSync(key.path, change(readFileSync(key.path, "latin1")), { mode: 0o600 });
  return key;
}

describe("findKeyProblem", () => {
  it.each([
    ["ed25519", ["-t", "ed25519"]],
    ["ecdsa", ["-t", "ecdsa"]],
    ["rsa", ["-t", "rsa"]],
    ["rsa as PEM", ["-t", "rsa", "-m", "PEM"]],
  ])("finds none with a pair of %s", async (_kind, args) => {
    const { path, publicKey } = createKey("key", ...args);

    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds none in a folder with spaces, accents and quotes", async () => {
    const { path, publicKey } = createKey("clé d'été à Évry", "-t", "ed25519");

    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds a public key of another pair", async () => {
    const { path } = createKey("key", "-t", "ed25519");
    const other = createKey("other", "-t", "ed25519");

    expect(await problemOf(path, other.publicKey)).toMatch(
      /^publicKey: expected the public half of ssh\.privateKeyFile, SHA256:\S+, got SHA256:\S+; a server that admits only this one would keep you out: set it to what ssh-keygen -y -f \S+ prints/,
    );
  });

  it("finds a file that others may read", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519");
    chmodSync(path, 0o644);

    expect(await problemOf(path, publicKey)).toBe(
      `privateKeyFile: expected a file that only you may read, got ${path} with the permissions 0644, which OpenSSH refuses; correct it with: chmod 600 ${path}`,
    );
  });

  const mark = "\u{feff}";
  const windows = (text: string) => text.replaceAll("\n", "\r\n");

  it.each<[string, (text: string) => string, string]>([
    ["the line endings of Windows", windows, "with the line endings of Windows"],
    ["a byte order mark", (text) => `${mark}${text}`, "with a byte order mark"],
    ["no end of line", (text) => text.trimEnd(), "without an end of line at its end"],
    [
      "all of them",
      (text) => `${mark}${windows(text.trimEnd())}`,
      "with a byte order mark and with the line endings of Windows and without an end of line at its end",
    ],
  ])("finds %s, and prints a command that corrects it", async (_, change, words) => {
    const { path, publicKey } = rewritten((text) => Buffer.from(change(text)));
    const problem = (await problemOf(path, publicKey)) ?? "";

    expect(problem).toContain(`, ${words}; correct it with: sed -i`);
    await run(["sh", "-c", problem.replace(/^.*correct it with: /s, "")]);
    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds UTF-16, and prints a command that converts it", async () => {
    const { path, publicKey } = rewritten((text) => Buffer.from(`${mark}${text}`, "utf16le"));
    const problem = (await problemOf(path, publicKey)) ?? "";

    expect(problem).toContain(", in UTF-16; convert it with: iconv");
    await run(["sh", "-c", problem.replace(/^.*convert it with: /s, "")]);
    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds half a key", async () => {
    const { path, publicKey } = rewritten((text) => `${text.slice(0, 120)}\n`);

    expect(await problemOf(path, publicKey)).toMatch(/a private key that OpenSSH can read, got \S+ \(.+\); /);
  });

  it("finds a key of PuTTY", async () => {
    const { path, publicKey } = rewritten(() => "PuTTY-User-Key-File-3: ssh-ed25519\n");

    expect(await problemOf(path, publicKey)).toContain("puttygen");
  });

  it("finds that the file is the public half", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519");
    chmodSync(`${path}.pub`, 0o600);

    expect(await problemOf(`${path}.pub`, publicKey)).toContain("name the file without .pub");
  });

  it("finds that there is no file, or a folder", async () => {
    const { publicKey } = createKey("key", "-t", "ed25519");

    expect(await problemOf(join(folder, "none"), publicKey)).toContain("got no file there; create one with");
    expect(await problemOf(folder, publicKey)).toContain("which is no file");
  });

  it("finds a format that only OpenSSH reads", async () => {
    const { path, publicKey } = createKey("key", "-t", "ecdsa", "-m", "PKCS8");

    expect(await problemOf(path, publicKey)).toContain(`convert it with: ssh-keygen -p -f ${path}`);
  });

  it("finds a passphrase without an agent", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519", "-N", "secret");

    expect(await problemOf(path, publicKey)).toContain("has a passphrase, and no ssh agent runs");
  });
});

describe("findKeyProblem with an ssh agent", () => {
  let agent: string | undefined;

  beforeEach(() => {
    const socket = join(folder, "agent");
    const { stdout } = spawnSync("ssh-agent", ["-a", socket], { encoding: "utf8" });
    agent = /SSH_AGENT_PID=(\d+)/.exec(stdout)?.[1];
    vi.stubEnv("SSH_AUTH_SOCK", socket);
  });
  afterEach(() => {
    process.kill(Number(agent));
  });

  const add = (path: string): void => {
    expect(spawnSync("ssh-add", ["-q", path]).status).toBe(0);
  };

  it("finds none when it holds a key whose file has a passphrase", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519");
    add(path);
    spawnSync("ssh-keygen", ["-p", "-q", "-P", "", "-N", "secret", "-f", path]);

    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds none when it holds a key of which only the public half is a file", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519");
    add(path);
    rmSync(path);

    expect(await problemOf(path, publicKey)).toBeUndefined();
  });

  it("finds that it holds another key", async () => {
    const { path, publicKey } = createKey("key", "-t", "ed25519", "-N", "secret");
    add(createKey("other", "-t", "ed25519").path);

    expect(await problemOf(path, publicKey)).toContain("the ssh agent does not hold it");
  });
});

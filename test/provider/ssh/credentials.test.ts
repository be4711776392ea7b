import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { readCredentials } from "../../../provider/ssh/credentials.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function createKey(...args: readonly string[]): string {
  const path = join(folder, "key");
  expect(spawnSync("ssh-keygen", ["-q", "-N", "", "-f", path, ...args]).status).toBe(0);
  return path;
}

describe("readCredentials", () => {
  it("describes the key by its path and its fingerprint", async () => {
    const path = createKey("-t", "ed25519");
    const [, fingerprint = "?"] = spawnSync("ssh-keygen", ["-lf", path], { encoding: "utf8" }).stdout.split(
      " ",
    );

    expect((await readCredentials("debian", path)).description).toBe(`the key ${path} (${fingerprint})`);
  });

  it("fails with the conversion when only OpenSSH can read the key", async () => {
    const path = createKey("-t", "ecdsa", "-m", "PKCS8");

    await expect(readCredentials("debian", path)).rejects.toThrow(
      `convert it with: ssh-keygen -p -f ${path}`,
    );

    spawnSync("ssh-keygen", ["-p", "-q", "-P", "", "-N", "", "-f", path]);
    expect((await readCredentials("debian", path)).methods).toHaveLength(1);
  });
});

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { resume } from "../../../ops/engine/resume.ts";
import { runOpenssh } from "../../../ops/server/connection.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openssh-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Puts a program called ssh before the real one. */
function replaceSsh(script: string): void {
  const path = join(folder, "ssh");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
}

describe("runOpenssh", () => {
  const target = { address: "203.0.113.10", port: 2222, user: "debian", options: ["-o", "BatchMode=yes"] };

  it("connects with the given options and returns what the command printed", async () => {
    replaceSsh('printf "%s\\n" "$@"; exit 3');

    expect(await runOpenssh(target, "docker ps")).toEqual({
      code: 3,
      stdout: "-o\nBatchMode=yes\n-p\n2222\n-l\ndebian\n--\n203.0.113.10\ndocker ps\n",
      stderr: "",
    });
  });

  it("fails when ssh is not installed", async () => {
    vi.stubEnv("PATH", folder);

    await expect(runOpenssh(target, "true")).rejects.toThrow(UserError);
    await expect(runOpenssh(target, "true")).rejects.toThrow(
      "ssh: expected this program on PATH, got none; install it",
    );
  });
});

describe("resume over ssh", () => {
  const docker = "urn:pulumi:test::technicia::pulumi:providers:docker::host";
  const provider = {
    urn: docker,
    type: "pulumi:providers:docker",
    custom: true,
    id: "id",
    inputs: { host: "ssh://debian@203.0.113.10:2222", sshOpts: '["-o","BatchMode=yes"]' },
  };
  const network = {
    urn: "urn:pulumi:test::technicia::docker:index/network:Network::n",
    type: "docker:index/network:Network",
    custom: true,
    inputs: { name: "n" },
    provider: `${docker}::id`,
  };
  const state = {
    version: 3,
    deployment: { resources: [provider], pending_operations: [{ type: "creating", resource: network }] },
  };

  async function resumed(): Promise<Awaited<ReturnType<typeof resume>> & { readonly imported: unknown }> {
    let imported: unknown;
    const result = await resume("test", ({ args, input }) => {
      if (args[1] === "import") imported = JSON.parse(input ?? "");
      return Promise.resolve(args[1] === "export" ? JSON.stringify(state) : "");
    });
    return { ...result, imported };
  }

  it("adopts what exists on the server that the provider names", async () => {
    replaceSsh(
      'echo "$*" >&2; case "$*" in *"-p 2222 -l debian -- 203.0.113.10 docker network"*) echo net-id ;; esac',
    );

    const { adopted, imported } = await resumed();

    expect(adopted).toEqual(["n"]);
    expect(imported).toMatchObject({
      deployment: { resources: [{ urn: docker }, { urn: network.urn, id: "net-id" }] },
    });
  });

  it("forgets what does not exist there", async () => {
    replaceSsh("exit 1");

    expect((await resumed()).forgotten).toEqual(["n"]);
  });

  it("fails when ssh cannot log in, because nothing is known then", async () => {
    replaceSsh("echo no route to host >&2; exit 255");

    await expect(resumed()).rejects.toThrow("ssh to 203.0.113.10 failed: no route to host");
  });
});

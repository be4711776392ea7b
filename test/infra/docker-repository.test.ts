import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { deploy, everything } from "../support/technicia.ts";

const KEY = "host-docker-repository-key";
const SOURCE = "host-docker-repository";

let server: string;
beforeEach(async () => {
  server = await mkdtemp(join(tmpdir(), "technicia-repository-"));
  await mkdir(join(server, "etc/apt/sources.list.d"), { recursive: true });
  await release("bookworm");
});
afterEach(() => rm(server, { recursive: true }));

async function release(codename: string): Promise<void> {
  await writeFile(join(server, "etc/os-release"), `ID=debian\nVERSION_CODENAME=${codename}\n`);
}

/** Runs a program of the resource on a server in a folder, where curl downloads the address itself. */
async function runProgram(name: string, program: "observe" | "apply" | "remove"): Promise<string> {
  const { resource } = await deploy(everything);
  const text = String(resource(name).inputs[program]).replaceAll(/\/(?=(etc|var\/lib)\/)/g, `${server}/`);
  const { KEY = "" } = (resource(name).inputs["variables"] ?? {}) as Record<string, string>;

  const { code, stdout, stderr } = await tryRun(["bash", "-euo", "pipefail", "-s"], {
    input: text,
    environment: { KEY },
  });

  if (code !== 0) throw new Error(stderr);
  expect(stderr).toBe("");
  return stdout.trim();
}

const files = { [KEY]: "etc/apt/keyrings/docker.asc", [SOURCE]: "etc/apt/sources.list.d/docker.sources" };

describe.each(Object.entries(files))("%s", (name, path) => {
  it("is present once it is applied, and absent once it is removed", async () => {
    expect(await runProgram(name, "observe")).toBe("absent");
    await runProgram(name, "apply");
    expect(await runProgram(name, "observe")).toBe("present");
    await runProgram(name, "remove");
    expect(await runProgram(name, "observe")).toBe("absent");
  });

  it("differs when somebody edits the file, and is put right by the next apply", async () => {
    await runProgram(name, "apply");
    await writeFile(join(server, path), "somebody else's\n");
    expect(await runProgram(name, "observe")).toBe("differs");

    await runProgram(name, "apply");

    expect(await runProgram(name, "observe")).toBe("present");
  });
});

describe(SOURCE, () => {
  it("names the server's release, and differs once Debian is upgraded", async () => {
    await runProgram(SOURCE, "apply");
    const content = await readFile(join(server, files[SOURCE]), "utf8");

    expect(content).toMatch(/^URIs: https:\/\/download.docker.com\/linux\/debian\nSuites: bookworm$/m);
    await release("trixie");
    expect(await runProgram(SOURCE, "observe")).toBe("differs");
  });

  const OTHERS = {
    "docker.list":
      "# Docker\ndeb [signed-by=/k.gpg] https://download.docker.com/linux/debian bookworm stable\n",
    "elsewhere.sources":
      "Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: bookworm\nComponents: stable\n",
  };

  it.each(Object.entries(OTHERS))(
    "replaces %s, which names Docker's repository alone",
    async (name, text) => {
      const other = join(server, "etc/apt/sources.list.d", name);
      await writeFile(other, text);
      await runProgram(SOURCE, "apply");

      expect(existsSync(other)).toBe(false);
      expect(await runProgram(SOURCE, "observe")).toBe("present");
      await writeFile(other, text);
      expect(await runProgram(SOURCE, "observe")).toBe("differs");
    },
  );

  it.each([
    ["mixed.list", `${OTHERS["docker.list"]}deb https://example.org/debian stable main\n`],
    ["mixed.sources", `${OTHERS["elsewhere.sources"]}\nTypes: deb\nURIs: https://example.org\nSuites: x\n`],
  ])("leaves %s, which names other repositories too, and says what to do", async (name, text) => {
    const other = join(server, "etc/apt/sources.list.d", name);
    await writeFile(other, text);

    await expect(runProgram(SOURCE, "apply")).rejects.toThrow(
      `host.dockerSource: expected Docker's repository in ${server}/${files[SOURCE]} alone, got it among others in ${other}; delete its lines there`,
    );
    expect(await readFile(other, "utf8")).toBe(text);
  });
});

describe(KEY, () => {
  it("is Docker's published key, whoever may have changed the file in the repository", async () => {
    await runProgram(KEY, "apply");

    const digest = createHash("sha256")
      .update(await readFile(join(server, files[KEY])))
      .digest("hex");
    expect(digest).toBe("1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570");
  });

  it.each(["chmod 0666", "ln -sf /etc/hostname"])("differs after %s", async (change) => {
    await runProgram(KEY, "apply");
    await run(["bash", "-c", `${change} ${join(server, files[KEY])}`]);
    expect(await runProgram(KEY, "observe")).toBe("differs");

    await runProgram(KEY, "apply");

    expect(await runProgram(KEY, "observe")).toBe("present");
  });
});

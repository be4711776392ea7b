import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
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
  const curl = 'curl() { while [ "$1" != --output ]; do last=$1; shift; done; echo "key of $last" >"$2"; }';

  const { code, stdout, stderr } = await tryRun(["bash", "-euo", "pipefail", "-s"], {
    input: `${curl}\n${text}`,
  });

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
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
});

describe(KEY, () => {
  it("differs when it was fetched before its digest was kept", async () => {
    await runProgram(KEY, "apply");
    await rm(join(server, "var/lib/technicia/docker-repository-key.sha256"));

    expect(await runProgram(KEY, "observe")).toBe("differs");
  });
});

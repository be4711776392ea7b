import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { readSdkVersion } from "../../../common/plugin-needs.ts";
import { installTools, sha256 } from "../../../ops/tools/install.ts";
import { makeLock } from "../../../ops/tools/lock.ts";
import { PLATFORMS, pulumiTools, readLock, scannerTool, urlOf, type Tool } from "../../../ops/tools/tools.ts";

const LINUX = { os: "linux", arch: "x64" };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tools-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** An archive with one program, which appends its arguments to a file. */
async function archiveOf(program: string): Promise<Buffer> {
  const source = join(folder, "source", program);
  await mkdir(source, { recursive: true });
  await writeFile(join(source, program), `#!/bin/sh\necho "$@" >> "${folder}/calls"\n`);
  await chmod(join(source, program), 0o755);
  const isCli = program === "pulumi";
  return execFileSync("tar", ["-czC", isCli ? join(folder, "source") : source, program]);
}

function serve(archives: Readonly<Record<string, Buffer>>) {
  const asked: string[] = [];
  const fetch = (url: string) => {
    asked.push(url);
    const body = archives[url];
    return Promise.resolve(body ? new Response(new Uint8Array(body)) : new Response("", { status: 404 }));
  };
  return { asked, fetch: fetch as typeof globalThis.fetch };
}

async function pulumi() {
  const tools = await pulumiTools(LINUX);
  const archives = Object.fromEntries(
    await Promise.all(
      tools.map(async (tool) => [
        urlOf(tool),
        await archiveOf(tool.kind === "cli" ? "pulumi" : `pulumi-resource-${tool.name}`),
      ]),
    ),
  ) as Record<string, Buffer>;
  const lock = Object.fromEntries(tools.map((tool) => [tool.archive, sha256(archives[urlOf(tool)]!)]));
  const variables = { PULUMI_HOME: join(folder, "home"), HOME: folder, PATH: process.env["PATH"] };
  return { tools, archives, lock, variables };
}

describe("Pulumi's tools", () => {
  it("are the CLI at the SDK's version, and the SDKs' plugins, from their makers' releases", async () => {
    const version = await readSdkVersion();
    const urls = (await pulumiTools(LINUX)).map(urlOf);

    expect(urls[0]).toBe(
      `https://github.com/pulumi/pulumi/releases/download/v${version}/pulumi-v${version}-linux-x64.tar.gz`,
    );
    expect(urls).toHaveLength(5);
    expect(urls[4]).toMatch(
      /^https:\/\/github\.com\/ovh\/pulumi-ovh\/releases\/download\/v([\d.]+)\/pulumi-resource-ovh-v\1-linux-amd64\.tar\.gz$/,
    );
  });

  it("go where npm's launcher and the engine look for them", async () => {
    const { tools, archives, lock, variables } = await pulumi();

    await installTools(tools, lock, { ...serve(archives), variables });

    const version = await readSdkVersion();
    expect(await readdir(join(folder, "home/versions", version, "bin"))).toEqual(["pulumi"]);
    const calls = (await readFile(join(folder, "calls"), "utf8")).trim().split("\n");
    expect(calls).toHaveLength(4);
    for (const { name, version } of tools.slice(1))
      expect(calls.join("\n")).toContain(`plugin install resource ${name} ${version} --file `);
  });

  it("are used for nothing when one of them is another file than the lock says", async () => {
    const { tools, archives, lock, variables } = await pulumi();
    archives[urlOf(tools[4]!)] = Buffer.from("something else");

    await expect(installTools(tools, lock, { ...serve(archives), variables })).rejects.toThrow(
      /expected SHA-256 [0-9a-f]{64} \(tools\.lock\.json\), got [0-9a-f]{64}; somebody replaced this file/,
    );
    await expect(readdir(join(folder, "home"))).rejects.toThrow("ENOENT");
  });

  it("are not even downloaded without a checksum, and each missing one is named with the command", async () => {
    const { tools, archives, lock, variables } = await pulumi();
    const { asked, fetch } = serve(archives);
    const known = { [tools[1]!.archive]: lock[tools[1]!.archive]! };

    const failure = await installTools(tools, known, { fetch, variables }).catch((error: Error) => error);

    expect(asked).toEqual([]);
    expect((failure as Error).message.match(/expected the SHA-256 of/g)).toHaveLength(4);
    expect((failure as Error).message).toContain("npm run tools -- lock writes it");
  });
});

describe("the scanner", () => {
  it.each(PLATFORMS)("has a committed checksum for $os on $arch", async (platform) => {
    expect(await readLock()).toHaveProperty([scannerTool(platform).archive]);
  });
});

describe("the lock", () => {
  const tool: Tool = scannerTool(LINUX);
  const api = `https://api.github.com/repos/anchore/grype/releases/tags/v${tool.version}`;
  const answer = (assets: unknown) => Buffer.from(JSON.stringify({ assets }));
  const digest = "ab".repeat(32);

  it("takes the digest that GitHub recorded at the release", async () => {
    const { fetch } = serve({ [api]: answer([{ name: tool.archive, digest: `sha256:${digest}` }]) });

    expect(await makeLock([tool], { fetch, token: undefined })).toEqual({ [tool.archive]: digest });
  });

  it("computes that of an older release, which has none", async () => {
    const archive = Buffer.from("archive");
    const { fetch } = serve({
      [api]: answer([{ name: tool.archive, digest: null }]),
      [urlOf(tool)]: archive,
    });

    expect(await makeLock([tool], { fetch, token: undefined })).toEqual({ [tool.archive]: sha256(archive) });
  });

  it("reports every archive that cannot be had", async () => {
    const others = [{ ...tool, version: "9.9.9", archive: "other" }, tool];
    const { fetch } = serve({ [api]: answer([]) });

    const failure = await makeLock(others, { fetch, token: undefined }).catch((error: Error) => error);

    expect((failure as Error).message.split("\n")).toEqual([
      expect.stringContaining("v9.9.9: expected a release, got status 404") as string,
      expect.stringContaining(`expected the file ${tool.archive} among its assets, got none`) as string,
    ]);
  });
});

import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { inFolder, readContent } from "../../../stacks/workflows/folder.ts";
import { listOf } from "../../../stacks/workflows/node-list.ts";
import { EXCLUDED_NODES } from "../../../stacks/workflows/rules/nodes.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { deploy } from "../../support/technicia.ts";

let repository: string;
let commit: string;
beforeEach(async () => {
  repository = await mkdtemp(join(tmpdir(), "technicia-repository-"));
  const own = fileURLToPath(new URL("../../../workflows", import.meta.url));
  await mkdir(join(repository, "n8n"));
  await cp(own, join(repository, "n8n"), { recursive: true });
  const git = (...args: string[]) =>
    run(["git", "-c", "user.name=a", "-c", "user.email=a@exemple.fr", ...args], { cwd: repository });
  await git("init", "--quiet");
  await git("add", ".");
  await git("commit", "--quiet", "--message", "Add workflows");
  commit = (await git("rev-parse", "HEAD")).trim();
  await writeFile(join(repository, "n8n", "technicia-errors.json"), "{");
});
afterEach(() => rm(repository, { recursive: true }));

const said: string[] = [];
const inside = <T>(workflows: object, work: Parameters<typeof inFolder<T>>[1]) =>
  inFolder(
    {
      environment: environmentWith({ workflows, documents: { enabled: true } }),
      signal: new AbortController().signal,
      say: (line) => void said.push(line),
    },
    work,
  );

describe("workflows in a repository", () => {
  it("are those of the commit, whatever is there by now, and their copy is deleted afterwards", async () => {
    const environment = environmentWith({ documents: { enabled: true } });
    const source = { repository: `file://${repository}`, commit };
    const { path, content } = await inside({ folder: "n8n", source }, async (place) => ({
      path: place.path,
      content: await readContent(place, environment),
    }));

    expect(content.problems).toEqual([]);
    expect(content.files.map(({ file }) => file)[0]).toBe(
      `n8n of ${commit.slice(0, 12)}/technicia-diagnosis-start.json`,
    );
    await expect(readdir(path)).rejects.toThrow(/ENOENT/);
  });

  it("that git cannot give are an error of the setting", async () => {
    const file = `file://${repository}`;
    const refused = (folder: string, source: object) => inside({ folder, source }, () => Promise.resolve());

    await expect(refused("n8n", { repository: `${file}-other`, commit })).rejects.toThrow(
      /^technicia:workflows\.source\.repository: git cannot read /,
    );
    await expect(refused("n8n", { repository: file, commit: "0".repeat(40) })).rejects.toThrow(
      /^technicia:workflows\.source\.commit: expected a commit of /,
    );
    await expect(refused("workflows", { repository: file, commit })).rejects.toThrow(
      /^technicia:workflows\.folder: expected a folder of commit /,
    );
  });
});

describe("the folder", () => {
  it("has to exist", async () => {
    const place = { path: join(repository, "none"), folder: "none" };

    await expect(readContent(place, environmentWith())).rejects.toThrow(
      "technicia:workflows.folder: expected a folder with workflows, got none, which does not exist; check its name",
    );
  });
});

describe("what n8n knows", () => {
  it("is read from its packages: each node's versions, and the fields of credentials with those they extend", () => {
    const nodes = [
      { name: "code", version: [2, 1] },
      { name: "code", version: 3 },
      { name: "set", version: 1 },
    ];
    const hidden = { type: "string", typeOptions: { password: true } };
    const credentials = [
      {
        name: "base",
        properties: [
          { name: "token", ...hidden },
          { name: "hint", type: "notice" },
        ],
      },
      { name: "child", extends: ["base"], properties: [{ name: "url", type: "string" }] },
    ];

    expect(listOf("n8n-nodes-base", { nodes, credentials })).toEqual({
      nodes: { "n8n-nodes-base.code": [1, 2, 3], "n8n-nodes-base.set": [1] },
      credentials: { base: { token: "secret" }, child: { token: "secret", url: "plain" } },
    });
  });

  it("is less than that by what the deployment turns off", async () => {
    const { registrations } = await deploy();
    const values = registrations.flatMap(({ inputs }) => [
      ...JSON.stringify(inputs).matchAll(/"NODES_EXCLUDE":("(?:[^"\\]|\\.)*")/g),
    ]);
    const lists = values.map(([, text = ""]) => JSON.parse(JSON.parse(text) as string) as unknown);

    expect(lists).toEqual([EXCLUDED_NODES]);
  });
});

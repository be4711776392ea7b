import { createHash } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { rollback } from "../../../ops/deploy/rollback.ts";
import { showHistory } from "../../../ops/deploy/history-commands.ts";
import { failing, ok, TestStack } from "./test-stack.ts";
import { WorkflowFolder } from "./workflow-folder.ts";

let stack: TestStack;
let folder: WorkflowFolder;

beforeEach(async () => {
  [stack, folder] = await Promise.all([TestStack.open(), WorkflowFolder.make()]);
  stack.project = folder.project;
  enable(true);
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

type File = { config: Record<string, unknown> };

function enable(enabled: boolean): void {
  const file = parse(stack.settings) as File;
  stack.settings = stringify({
    ...file,
    config: { ...file.config, "technicia:workflows": { enabled }, "technicia:documents": { enabled } },
  });
}

const run = () =>
  deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    stack.operator,
  );

const back = () =>
  rollback(
    { stack: "test", to: undefined, reason: "wrong answers", yes: true, dataStays: false, withData: false },
    stack.operator,
  );

/** Releases 1 and 2, which differ in the name of one workflow. */
async function twoReleases(): Promise<void> {
  await folder.rename("First");
  await run();
  await folder.rename("Second");
  await run();
  stack.printed.length = 0;
}

const kept = () => join(stack.server.folder, "workflows");
const nameInN8n = () => stack.workflows?.find(({ id }) => id === "technicia-errors")?.name;
const appliedWorkflows = () => (parse(stack.applied) as File).config["technicia:workflows"];
const digests = async () => (await stack.releases()).map(({ workflows }) => workflows);

const CREDENTIALS = "credentials.yaml";
const OTHER = `technicia-claude:\n  name: Claude\n  type: anthropicApi\n  data:\n    apiKey: { secret: anthropicApiKey }\n`;

describe("a release", () => {
  it("records the digest of its workflows, whose content the server keeps", async () => {
    await twoReleases();
    const [first, second] = await digests();

    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(second).not.toBe(first);
    expect((await readdir(kept())).sort()).toEqual([`${first!}.json`, `${second!}.json`].sort());
    const content = await readFile(join(kept(), `${first!}.json`));
    expect(createHash("sha256").update(content).digest("hex")).toBe(first);
    expect((await stat(join(kept(), `${first!}.json`))).mode & 0o777).toBe(0o640);
    expect(JSON.parse(content.toString("utf8"))).toContainEqual(
      expect.objectContaining({ id: "technicia-errors", name: "First" }),
    );
  });

  it("has the same digest where only the order in a file differs", async () => {
    await run();
    const file = "technicia-errors.json";
    const content = JSON.parse(await readFile(join(folder.path, file), "utf8")) as object;
    await folder.write(file, JSON.stringify(Object.fromEntries(Object.entries(content).reverse())));
    await run();

    const [first, second] = await digests();
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it("records none where the settings leave n8n alone", async () => {
    enable(false);
    await run();

    expect(await digests()).toEqual([undefined]);
    await expect(readdir(kept())).rejects.toThrow(/ENOENT/);
  });

  it("says in the history that its workflows changed", async () => {
    await twoReleases();
    const [, digest] = await digests();

    expect((await stack.history()).at(-1)).toBe(
      "deploy: version 2 en service : mêmes images, workflows modifiés",
    );
    const { text } = await showHistory({ stack: "test", release: 2, json: false }, stack.operator);
    expect(text).toContain(`, workflows ${digest!.slice(0, 12)}\n`);
  });
});

describe("a rollback", () => {
  it("gives the engine the workflows of the release, with the credentials of today", async () => {
    await twoReleases();
    await folder.write(CREDENTIALS, `${await readFile(join(folder.path, CREDENTIALS), "utf8")}${OTHER}`);
    let credentials = "";
    stack.up = async () => {
      const { source } = appliedWorkflows() as { source: { repository: string } };
      credentials = await readFile(join(new URL(source.repository).pathname, CREDENTIALS), "utf8");
      return undefined;
    };
    const outcome = await back();

    expect(outcome.exitCode).toBe(0);
    expect(nameInN8n()).toBe("First");
    expect(credentials).toContain("technicia-claude");
    const [first, , third] = await digests();
    expect(third).toBe(first);
    expect((await stack.history()).at(-1)).toMatch(/^rollback: .* : mêmes images, workflows modifiés$/);
    expect(stack.printed.join("\n")).not.toContain("the workflows stay");
  });

  it("leaves the settings alone where the folder has the workflows of the release", async () => {
    await twoReleases();
    await folder.rename("First");
    await back();

    expect(appliedWorkflows()).toEqual({ enabled: true });
    expect(nameInN8n()).toBe("First");
    const [first, , third] = await digests();
    expect(third).toBe(first);
  });

  it.each([
    [
      "the server has lost",
      (path: string) => rm(path),
      /the workflows stay as they are, not as in release 1: \S+\.json is not on the server/,
    ],
    ["somebody changed there", (path: string) => writeFile(path, "[]\n"), /\.json is not as it was written/],
    ["cannot be read there", (path: string) => writeFile(path, "half"), /\.json is not as it was written/],
  ])(
    "goes on without workflows that %s, says so, and records those that stay",
    async (_what, damage, line) => {
      await twoReleases();
      const [first] = await digests();
      await damage(join(kept(), `${first!}.json`));
      const outcome = await back();

      expect(outcome.exitCode).toBe(0);
      expect(stack.printed.filter((one) => one.includes("the workflows stay"))).toEqual([
        expect.stringMatching(line) as string,
      ]);
      expect(nameInN8n()).toBe("Second");
      const [, second, third] = await digests();
      expect(third).toBe(second);
    },
  );

  it("goes on without workflows whose credentials are no longer declared", async () => {
    await twoReleases();
    await folder.write(CREDENTIALS, OTHER);
    for (const name of await readdir(folder.path)) {
      const text = await readFile(join(folder.path, name), "utf8");
      if (name.endsWith(".json"))
        await folder.write(
          name,
          text
            .replaceAll('"technicia-anthropic"', '"technicia-claude"')
            .replaceAll('"name": "Anthropic"', '"name": "Claude"'),
        );
    }
    const outcome = await back();

    expect(outcome.exitCode).toBe(0);
    expect(stack.printed.join("\n")).toMatch(
      /^the workflows stay as they are, not as in release 1: release 1\/.*credentials.*technicia-anthropic/m,
    );
    expect(appliedWorkflows()).toEqual({ enabled: true });
  });

  it("has the engine leave n8n alone where neither these workflows nor today's can be used", async () => {
    await twoReleases();
    await rm(kept(), { recursive: true });
    await folder.write("technicia-errors.json", "{");
    const outcome = await back();

    expect(outcome.exitCode).toBe(0);
    expect(stack.printed.join("\n")).toContain("the workflows stay as they are, not as in release 1: ");
    expect(appliedWorkflows()).toMatchObject({ enabled: false });
    expect((await stack.lastRelease()).workflows).toBeUndefined();
  });

  it("to a release whose record names no workflows says so", async () => {
    enable(false);
    await run();
    enable(true);
    await run();
    await back();

    expect(stack.printed).toContain(
      "the workflows stay as they are, not as in release 1: the record of release 1 names none",
    );
  });
});

describe("a failed release that changed workflows only", () => {
  const fail = () => (stack.verify = () => Promise.resolve([nameInN8n() === "Second" ? failing : ok]));

  it("gets the workflows before back", async () => {
    fail();
    await folder.rename("First");
    await run();
    await folder.rename("Second");
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("release 1 runs again");
    expect(nameInN8n()).toBe("First");
    expect(await stack.lastRelease()).toMatchObject({ outcome: "rolled-back", restored: 1 });
  });

  it("is not rolled back where those are not to be had, and says why", async () => {
    fail();
    await folder.rename("First");
    await run();
    await rm(kept(), { recursive: true });
    await folder.rename("Second");
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toMatch(
      /release 1 had the same images, limits and timeouts, so [^]*\nthe workflows stay as they are, not as in release 1: /,
    );
    expect(stack.ups).toHaveLength(2);
  });
});

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { run } from "../../../common/run.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { promote } from "../../../ops/deploy/promote.ts";
import type { Operator } from "../../../ops/deploy/session.ts";
import { TestStack } from "./test-stack.ts";
import { WorkflowFolder } from "./workflow-folder.ts";

let staging: TestStack;
let prod: TestStack;
let folder: WorkflowFolder;

beforeEach(async () => {
  [staging, prod, folder] = await Promise.all([TestStack.open(), TestStack.open(), WorkflowFolder.make()]);
  staging.project = prod.project = folder.project;
  for (const stack of [staging, prod]) set(stack, { enabled: true });
});

afterEach(async () => {
  await staging[Symbol.asyncDispose]();
  await prod[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface File {
  readonly config: Readonly<Record<string, unknown>>;
}

function set(stack: TestStack, workflows: object): void {
  const file = parse(stack.settings) as File;
  stack.settings = stringify({
    ...file,
    config: { ...file.config, "technicia:documents": { enabled: true }, "technicia:workflows": workflows },
  });
}

const workflowsOf = (stack: TestStack) => (parse(stack.settings) as File).config["technicia:workflows"];

/** One operator who reaches both. */
function operator(): Operator {
  return {
    ...staging.operator,
    pulumi: (call) => (call.args.includes("prod") ? prod : staging).operator.pulumi(call),
    readSettingsFile: () => Promise.resolve(prod.settings),
    writeSettingsFile: (_stack, text) => Promise.resolve(void (prod.settings = text)),
  };
}

const release = () =>
  deploy(
    { stack: "staging", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    staging.operator,
  );

const promoted = () => promote({ from: "staging", to: "prod" }, operator());

describe("promote, where both use the folder of the project", () => {
  it("writes images where the checkout has the workflows that were verified", async () => {
    await release();

    expect((await promoted()).text).toContain("of staging is now in Pulumi.prod.yaml");
    expect(workflowsOf(prod)).toEqual({ enabled: true });
  });

  it("refuses a checkout with others, and writes nothing", async () => {
    await release();
    await folder.rename("Another");
    const before = prod.settings;

    await expect(promoted()).rejects.toThrow(
      "workflows: expected those that staging has verified (release 1, revision 0123456789ab), got others in this checkout; " +
        "check that revision out, or deploy staging with these first",
    );
    expect(prod.settings).toBe(before);
  });

  it("refuses a checkout whose workflows cannot be read", async () => {
    await release();
    await folder.write("technicia-errors.json", "{");

    await expect(promoted()).rejects.toThrow(/^workflows: workflows\/technicia-errors\.json: expected JSON/);
  });

  it("refuses where the source runs none, and leaves a target alone that runs none", async () => {
    set(staging, { enabled: false });
    await release();

    await expect(promoted()).rejects.toThrow(
      "workflows: expected workflows that staging has verified, because prod runs them, got none in release 1; " +
        "turn workflows.enabled on in staging and deploy that, or off in prod",
    );
    set(prod, { enabled: false });
    expect((await promoted()).exitCode).toBe(0);
  });

  it("does not believe the record on the server alone", async () => {
    await release();
    await folder.rename("Never verified");
    const other = await TestStack.open();
    other.project = folder.project;
    set(other, { enabled: true });
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      other.operator,
    );
    const { workflows } = await other.lastRelease();
    await other[Symbol.asyncDispose]();
    const record = join(staging.server.folder, "releases", "000001.end.json");
    const forged = { ...(JSON.parse(await readFile(record, "utf8")) as object), workflows };
    await writeFile(record, JSON.stringify(forged));

    await expect(promoted()).rejects.toThrow(
      "workflows: expected the Pulumi state of staging and the record of release 1 on its server to have the same ones, got others; " +
        "deploy staging again, and find out who changed them",
    );
  });
});

describe("promote, where the target uses a repository at a commit", () => {
  const git = (...args: string[]) =>
    run(["git", "-c", "user.name=a", "-c", "user.email=a@exemple.fr", ...args], { cwd: folder.project });
  const source = (commit: string) => ({
    enabled: true,
    source: { repository: `file://${folder.project}`, commit },
  });
  let commits: readonly [string, string];

  beforeEach(async () => {
    await git("init", "--quiet");
    const commit = async (name: string) => {
      await folder.rename(name);
      await git("add", ".");
      await git("commit", "--quiet", "--message", name);
      return (await git("rev-parse", "HEAD")).trim();
    };
    commits = [await commit("First"), await commit("Second")];
    expect(await readdir(folder.path)).toContain("technicia-errors.json");
  });

  it("writes the commit that was verified, and nothing else of it", async () => {
    const [first, second] = commits;
    set(staging, source(second));
    set(prod, source(first));
    await release();
    const { text } = await promoted();

    expect(text).toContain(`, workflows ${first.slice(0, 12)} → ${second.slice(0, 12)}`);
    expect(workflowsOf(prod)).toEqual(source(second));
    expect((await promoted()).text).toMatch(/^Pulumi\.prod\.yaml already has release 1/);
  });

  it("refuses a commit that the source's settings name by now, and nobody verified", async () => {
    const [first, second] = commits;
    set(staging, source(first));
    set(prod, source(first));
    await release();
    set(staging, source(second));

    await expect(promoted()).rejects.toThrow(
      `workflows: expected those that staging has verified (release 1, revision 0123456789ab), got others at commit ${second.slice(0, 12)}, ` +
        "which Pulumi.staging.yaml names; deploy staging with it first, or check that revision out",
    );
    expect(workflowsOf(prod)).toEqual(source(first));
  });

  it("refuses where the source uses the folder of the project", async () => {
    set(prod, source(commits[0]));
    await release();

    await expect(promoted()).rejects.toThrow(
      "workflows: expected staging to take its workflows from a repository at a commit, as prod does, got a folder of this project; " +
        "give both the same technicia:workflows.source",
    );
  });
});

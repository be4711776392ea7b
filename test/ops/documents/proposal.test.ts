import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { BRANCH, proposing } from "../../../ops/documents/proposal.ts";
import { openGithub } from "../../../ops/vendors/github.ts";
import { newFolder } from "../../reports/temporary-folder.ts";
import { startGithub, type FakeGithub } from "../vendors/fake-github.ts";

const DOCUMENT = "docs/suivi.md";

let github: FakeGithub;
let root: string;
let file: string;

beforeEach(async () => {
  github = await startGithub();
  root = `${await newFolder()}/`;
  file = join(root, DOCUMENT);
  await mkdir(join(root, "docs"));
  await checkOut("début é\n");
});
afterEach(() => github.close());

/** As a new job finds it: main's. */
async function checkOut(text = github.branches.get("main")!.get(DOCUMENT)!): Promise<void> {
  github.branches.get("main")!.set(DOCUMENT, text);
  await writeFile(file, text);
}

function propose(line: string, client = openGithub(github.environment)) {
  const work = async () => {
    await writeFile(file, `${await readFile(file, "utf8")}${line}`);
    return { text: "done", exitCode: 0 };
  };
  return proposing(client, work, { files: [file], root });
}

const proposed = () => github.branches.get(BRANCH)?.get(DOCUMENT);

describe("--propose", () => {
  it("opens one pull request, whose branch has the changed document, and leaves main alone", async () => {
    const { text } = await propose("un\n");

    expect(text).toMatch(/^done\npull request created: https:\/\/github\.example\//);
    expect(proposed()).toBe("début é\nun\n");
    expect(github.branches.get("main")!.get(DOCUMENT)).toBe("début é\n");
    expect(github.pulls.map(({ head }) => head)).toEqual([BRANCH]);
  });

  it("goes on from what is proposed already, in the same pull request", async () => {
    await propose("un\n");
    await checkOut();
    const { text } = await propose("deux\n");

    expect(text).toMatch(/pull request updated/);
    expect(proposed()).toBe("début é\nun\ndeux\n");
    expect(github.pulls).toHaveLength(1);
    expect(github.requests).toContain("POST /repos/technicia/infrastructure/merges");
  });

  it("begins again from main after the pull request was merged or closed", async () => {
    await propose("un\n");
    github.pulls[0]!.state = "closed";
    await checkOut("fusionné\n");
    await propose("deux\n");

    expect(proposed()).toBe("fusionné\ndeux\n");
    expect(github.pulls).toHaveLength(2);
  });

  it("opens none without a change, and says that one is as it was", async () => {
    expect((await propose("")).text).toBe("done");
    expect(github.branches.has(BRANCH)).toBe(false);

    await propose("un\n");
    await checkOut();
    expect((await propose("")).text).toMatch(/pull request unchanged/);
  });

  it("proposes nothing of a command that fails", async () => {
    const work = () => Promise.reject(new Error("it failed"));

    await expect(proposing(openGithub(github.environment), work, { files: [file], root })).rejects.toThrow(
      "it failed",
    );
    expect(github.branches.has(BRANCH)).toBe(false);
  });

  it("says what to do where main conflicts with what is proposed, and where the job may not write", async () => {
    await propose("un\n");
    github.refuse(/^POST .*\/merges$/, { status: 409, message: "Merge conflict" });
    await expect(propose("deux\n")).rejects.toThrow("got conflicts; resolve them, or close it");

    github.pulls[0]!.state = "closed";
    github.refuse(/^PUT /, { status: 403, message: "Resource not accessible by integration" });
    await expect(propose("deux\n")).rejects.toThrow('give the job "contents: write"');
  });

  it("is not needed: without it the document alone changes", async () => {
    await proposing(undefined, () => Promise.resolve({ text: "", exitCode: 0 }), { files: [file], root });

    expect(github.requests).toEqual([]);
  });
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  hashConfiguration,
  readSource,
  readStateAsOf,
  checkPlan,
  describePlan,
  discardPlan,
  planFile,
  type PlanInputs,
} from "../../../ops/preview/plan.ts";
import type { Git } from "../../../ops/server/identity.ts";
import { savedPlan } from "./recorded.ts";

const facts: PlanInputs = {
  stack: "test",
  revision: "0123abc",
  source: "tree-1",
  settingsHash: "settings-1",
  stateAsOf: "2026-11-21T07:06:22.814Z",
};
const at = new Date("2026-11-21T08:00:00Z");

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "plan-"));
  await writeFile(planFile(folder), savedPlan());
  await describePlan(folder, facts, { at, refreshed: false });
});

afterEach(() => rm(folder, { recursive: true }));

describe("checkPlan", () => {
  it("accepts a plan when nothing has changed", async () => {
    expect(await checkPlan(folder, facts)).toMatchObject({
      fits: true,
      file: join(folder, "plan.json"),
      manifest: { revision: "0123abc", madeAt: "2026-11-21T08:00:00.000Z", refreshed: false },
    });
  });

  it("accepts a plan after a merge that changed no file", async () => {
    expect(await checkPlan(folder, { ...facts, revision: "merged" })).toMatchObject({ fits: true });
  });

  it("lists everything that has changed since", async () => {
    const now: PlanInputs = {
      stack: "prod",
      revision: "4567def",
      source: "tree-2",
      settingsHash: "settings-2",
      stateAsOf: "2026-11-22T09:00:00Z",
    };

    expect(await checkPlan(folder, now)).toMatchObject({
      fits: false,
      changed: [
        "the plan is for stack test, not prod",
        "the program's files are others: the plan was made at 0123abc, these are 4567def",
        "the stack's settings are others than the plan's",
        "the state changed at 2026-11-22T09:00:00Z, after the plan was made at 2026-11-21T08:00:00.000Z",
      ],
    });
  });

  const again = "run npm run preview -- test --out <folder>";

  it("fails when the plan is another than the one described, damaged or gone", async () => {
    await writeFile(planFile(folder), savedPlan().slice(0, -100));
    await expect(checkPlan(folder, facts)).rejects.toThrow(
      `${folder}/plan.json: expected the plan that was reviewed, got another or a damaged one; ${again}`,
    );

    await rm(planFile(folder));
    await expect(checkPlan(folder, facts)).rejects.toThrow(
      `${folder}/plan.json: expected a saved plan, got no such file; ${again}`,
    );
  });

  it.each([
    ["no JSON", "{", "expected the description of a plan in JSON, got something else"],
    ["of another form", '{"format":2}', "expected the description of a plan, got format: "],
  ])("fails when its description is %s", async (_what, text, expected) => {
    await writeFile(join(folder, "plan.manifest.json"), text);

    await expect(checkPlan(folder, facts)).rejects.toThrow(`${folder}/plan.manifest.json: ${expected}`);
  });

  it("fails when a failed preview left none", async () => {
    await discardPlan(folder);

    await expect(checkPlan(folder, facts)).rejects.toThrow(
      `${folder}/plan.manifest.json: expected a saved plan, got no such file; ${again}`,
    );
  });
});

describe("hashConfiguration", () => {
  const settings = {
    "technicia:domain": { secret: false, value: "technicia.exemple.fr" },
    "technicia:voyageApiKey": { secret: true, value: "canary" },
  };

  it("changes with a setting and with which secrets there are, not with a secret's value or the order", () => {
    const hash = hashConfiguration(settings);
    const { "technicia:voyageApiKey": key, ...rest } = settings;

    expect(hashConfiguration({ "technicia:voyageApiKey": { ...key, value: "other" }, ...rest })).toBe(hash);
    expect(hashConfiguration(rest)).not.toBe(hash);
    expect(hashConfiguration({ ...settings, "technicia:domain": { secret: false, value: "x" } })).not.toBe(
      hash,
    );
  });
});

describe("readStateAsOf", () => {
  const ls = (name: string) => () =>
    Promise.resolve(
      JSON.stringify([
        { name: "pretest", lastUpdate: "wrong" },
        { name, lastUpdate: "2026-11-21T07:06:22Z" },
      ]),
    );

  it("finds the stack under its short and its full name", async () => {
    expect(await readStateAsOf("test", ls("test"))).toBe("2026-11-21T07:06:22Z");
    expect(await readStateAsOf("test", ls("organization/technicia/test"))).toBe("2026-11-21T07:06:22Z");
    expect(await readStateAsOf("prod", ls("test"))).toBe("");
  });

  it("fails when the CLI prints something else", async () => {
    await expect(readStateAsOf("test", () => Promise.resolve("warning"))).rejects.toThrow(
      /^pulumi stack ls --json: expected JSON of another form/,
    );
  });
});

describe("readSource", () => {
  const git =
    (status: string, diff = ""): Git =>
    (args) => {
      const answers: Record<string, string> = {
        "rev-parse HEAD": "c0ffee\n",
        "rev-parse HEAD^{tree}": "7ree\n",
        "status --porcelain": status,
        "diff HEAD": diff,
      };
      return Promise.resolve(answers[args.slice(0, 2).join(" ")] ?? "");
    };

  it("is the commit's tree when every file is in the commit", async () => {
    expect(await readSource(git(""))).toEqual({ revision: "c0ffee", source: "7ree" });
  });

  it("differs with every change that is in no commit", async () => {
    const one = await readSource(git(" M a\n", "+1"));
    const two = await readSource(git(" M a\n", "+2"));

    expect(one).toEqual({ revision: "c0ffee+", source: expect.not.stringMatching(/^7ree$/) as string });
    expect(one.source).not.toBe(two.source);
  });
});

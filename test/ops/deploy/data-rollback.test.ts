import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { showHistory } from "../../../ops/deploy/history-commands.ts";
import { rollback, type RollbackRequest } from "../../../ops/deploy/rollback.ts";
import type { DeployRequest } from "../../../ops/deploy/release-progress.ts";
import { failing, ok, pulled, TestStack } from "./test-stack.ts";

const BEFORE = "n8nio/n8n:2.41.3";
const AFTER = "n8nio/n8n:2.42.0";
const SET = "0123456789abcdef";

let stack: TestStack;
let sets: { id: string; time: string; tags: string[] }[];
let refused: Record<string, string>;
let restore: () => unknown;
let done: boolean;

beforeEach(async () => {
  stack = await TestStack.open();
  stack.keepBackups();
  sets = [];
  [refused, done] = [{}, false];
  restore = () => restored;
  stack.takeSet = () => Promise.resolve(SET);
  stack.program = ([command, , set = ""]) => {
    if (command === "list") return sets.map((one) => ({ ...one, size: null, sent: null, drill: null }));
    if (command === "restore") return restore();
    if (refused[set] !== undefined) throw new UserError(refused[set]);
    return { ...plan, id: set, done };
  };
  await run();
  setN8n(stack, AFTER);
});

afterEach(() => stack[Symbol.asyncDispose]());

function setN8n(on: TestStack, image: string): void {
  on.setImage("n8n", image);
  on.setImage("n8nRunners", image.replace("n8n:", "runners:"));
}

const plan = {
  ...{ time: "2026-11-24T09:00:09Z", minutesLost: 61, release: { number: 1 }, indexedSince: {} },
  items: {
    qdrant: { at: "2026-11-24T09:00:00Z", now: { technicia: 10_200 }, then: { technicia: 10_000 } },
    n8n: { at: "2026-11-24T09:00:00Z", now: {}, then: { workflows: 3 } },
  },
};
const restored = {
  ...{ set: SET, only: ["qdrant", "n8n"], stoppedSeconds: 31, took: 42 },
  counts: { qdrant: { technicia: 10_000 }, n8n: { workflows: 3 } },
};

const run = (request: Partial<DeployRequest> = {}) =>
  deploy(
    {
      ...{ stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      ...request,
    },
    stack.operator,
  );
const back = (request: Partial<RollbackRequest> = {}) =>
  rollback(
    {
      ...{ stack: "test", to: undefined, reason: "users complain", yes: true },
      ...{ dataStays: false, withData: true, ...request },
    },
    stack.operator,
  );
const madeBefore = (release: number, id = SET) => ({
  ...{ id, time: `2026-11-24T09:0${release}:00Z`, tags: [`release-${release}`] },
});
const commands = () => stack.programCalls.map(([command]) => command);
const isNew = () => stack.images["n8n"] === pulled(AFTER);
const failsAs = (id: string) => () => Promise.resolve([isNew() ? { ...failing, id } : ok]);

describe("rollback --with-data", () => {
  beforeEach(async () => {
    await run();
    sets = [{ id: "ffff", time: "2026-11-24T09:30:00Z", tags: ["scheduled"] }, madeBefore(2)];
    stack.parts.length = stack.printed.length = stack.calls.length = 0;
  });

  it("shows release, counts now and afterwards and what is lost, asks once, and brings data and versions back before the engine runs", async () => {
    let upsBefore = -1;
    restore = () => {
      upsBefore = stack.ups.length;
      return restored;
    };
    const outcome = await back({ yes: false });

    expect(outcome.exitCode).toBe(0);
    expect(stack.asked.slice(-1)).toEqual(["Restore release 1, and overwrite its data, on test?"]);
    const printed = stack.printed.join("\n").replace(/ +/g, " ");
    expect(printed).toContain("back to release 1 (");
    expect(printed).toContain("qdrant 2026-11-24 09:00:00 10200 technicia 10000 technicia");
    expect(printed).toContain("n8n 2026-11-24 09:00:00 not counted 3 workflows");
    expect(printed).toContain("set 01234567, of release 1: what was written in the last 61 minutes is lost");
    expect(printed).toContain(
      "npm run restore -- test --undo brings it back, with the versions that wrote it",
    );
    expect(upsBefore).toBe(0);
    expect(stack.ups).toHaveLength(1);
    expect(stack.ups[0]?.args).toContain("--refresh");
    const words = stack.programCalls.at(-1)!;
    expect(words.slice(0, 7)).toEqual(["restore", "--set", SET, "--only", "qdrant", "--only", "n8n"]);
    expect(JSON.parse(words[8]!)).toMatchObject({
      "technicia-n8n": pulled(BEFORE),
      "technicia-vector-store": stack.images["vectorStore"],
    });
    expect(words.slice(9)).toEqual(["--command", 'npm run rollback -- test --with-data --reason "…"']);
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
  });

  it("is recorded with the set, and what came back", async () => {
    await back();

    expect(await stack.lastRelease()).toMatchObject({
      ...{ kind: "rollback", restored: 1, set: SET },
      seconds: { data: 42, rollback: 60, rollbackVerify: 20 },
    });
    const { text } = await showHistory({ stack: "test", release: 3, json: false }, stack.operator);
    expect(text).toContain("with the data of set 01234567");
    expect((await stack.history()).slice(-2)).toEqual([
      "restore: jeu 01234567 avec la version 1 : qdrant 10000 technicia ; n8n 3 workflows ; arrêt de 31 s",
      expect.stringContaining("rollback: version 1 remise en service"),
    ]);
  });

  it("changes nothing when nobody confirms", async () => {
    stack.confirms = false;

    expect(await back({ yes: false })).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(commands()).toEqual(["list", "plan"]);
    expect(stack.ups).toEqual([]);
  });

  it("fails where no set was made before that release, and names what there is instead", async () => {
    sets = [madeBefore(1), madeBefore(3)];

    await expect(back()).rejects.toThrow(
      /^test: expected a set of backups that was made before release 2, got none; .*\nGo back without data with npm run rollback -- test --to 1 /,
    );
    expect(commands()).toEqual(["list"]);
    expect(await stack.releases()).toHaveLength(2);
  });

  it.each([
    "the set 01234567: expected one of test, got one of prod",
    "technicia:n8nEncryptionKey: expected the key that the set was made with (aaaaaaaaaaaa), got another one",
  ])("refuses what the server refuses, before anything changes: %s", async (refusal) => {
    refused = { [SET]: refusal };

    await expect(back()).rejects.toThrow(refusal);
    expect(stack.ups).toEqual([]);
    expect(await stack.releases()).toHaveLength(2);
  });

  it("takes the newest set that the release reads: an earlier one where a release that failed had already changed the data", async () => {
    setN8n(stack, "n8nio/n8n:2.43.0");
    stack.verify = () => Promise.resolve([{ ...failing, id: "performance-health" }]);
    stack.takeSet = () => Promise.resolve("3333333333333333");
    await run();
    sets = [madeBefore(2), madeBefore(3, "3333333333333333")];
    refused = { "3333333333333333": "expected 2.42.0 or later, which reads this set, got 2.41.3" };
    stack.verify = () => Promise.resolve([ok]);

    expect((await back({ to: 1 })).exitCode).toBe(0);
    expect(stack.programCalls.at(-1)?.[2]).toBe(SET);
  });

  it("goes on by the same command after its connection broke, with the same set and release", async () => {
    restore = () => {
      throw new UserError("server: the connection broke");
    };
    await expect(back()).rejects.toThrow(
      'the connection broke\ngo on with npm run rollback -- test --with-data --reason "users complain"',
    );
    expect(await stack.lastRelease()).toMatchObject({ outcome: "failed", restored: 1, set: SET });
    expect(stack.ups).toEqual([]);
    restore = () => restored;
    sets = [];

    expect((await back()).text).toContain("release 1 runs again");
    expect(stack.programCalls.at(-1)?.slice(0, 3)).toEqual(["restore", "--set", SET]);
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
  });

  it("does not overwrite what was written since its data came back, when only the engine had failed", async () => {
    stack.up = () => Promise.resolve({ error: "no room", changed: true });
    expect((await back()).exitCode).toBe(1);
    stack.up = () => Promise.resolve(undefined);
    done = true;
    stack.programCalls.length = 0;

    expect((await back({ yes: false })).text).toContain("release 1 runs again");
    expect(commands()).toEqual(["plan"]);
    expect(stack.asked.at(-1)).toBe("Restore release 1 on test?");
    expect(stack.printed.join("\n")).toContain("the data of set 01234567 is back already");
  });

  it("needs a place for backups", async () => {
    const other = await TestStack.open();
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      other.operator,
    );
    setN8n(other, AFTER);
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      other.operator,
    );
    const request = {
      stack: "test",
      to: undefined,
      reason: "x",
      yes: true,
      dataStays: false,
      withData: true,
    };

    await expect(rollback(request, other.operator)).rejects.toThrow(
      "technicia:backup: expected a place for backups, got none",
    );
    await other[Symbol.asyncDispose]();
  });
});

describe("rollback without data", () => {
  it("names the command that brings the data back, where there are backups", async () => {
    await run();

    expect((await back({ withData: false, reason: "slow" })).text).toBe(
      "test: release 1 has older versions of programs that store data:\n" +
        "  n8n goes back from 2.42.0 to 2.41.3, but its data stays in the format of 2.42.0: " +
        "the older version may not start, or may damage what it does not understand\n" +
        'bring the data of then back, too, with npm run rollback -- test --with-data --reason "slow", which shows what is lost',
    );
  });

  it("waits for the end of a restore that was interrupted, and so does a deployment", async () => {
    await run();
    stack.restoring = SET;
    const refusal = "test: expected no restore under way, got one of set 01234567 that has not ended";

    await expect(back({ withData: false, dataStays: true })).rejects.toThrow(refusal);
    await expect(run({ emergency: true, reason: "now" })).rejects.toThrow(refusal);
  });
});

describe("a release that may have changed the format of data, with a set of before", () => {
  beforeEach(() => {
    sets = [madeBefore(2)];
  });

  it("says before the question that its data comes back with it", async () => {
    await run();

    expect(stack.printed).toContain(
      "n8n 2.41.3 → 2.42.0: the new version may change the format of the data, a set of backups is made first; if this release fails, it is rolled back together with that data",
    );
    expect(await stack.history()).toContain(
      "deploy: n8n 2.41.3 → 2.42.0 : les données peuvent changer de format, jeu 01234567 fait avant",
    );
  });

  it("is rolled back with its data by itself when nobody is asked", async () => {
    stack.verify = failsAs("functional-n8n");
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("release 1 runs again, with the data of set 01234567");
    expect(commands()).toEqual(["list", "plan", "restore"]);
    expect(stack.ups.at(-1)?.args).toContain("--refresh");
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
    expect(await stack.lastRelease()).toMatchObject({ outcome: "rolled-back", restored: 1, set: SET });
    expect((await stack.history()).at(-1)).toContain("remise en service avec les données du jeu 01234567");
  });

  it.each([true, false])(
    "asks a person who is there first, and does what they answer: %s",
    async (agrees) => {
      stack.verify = failsAs("functional-n8n");
      const { operator } = stack;
      const asked: string[] = [];
      const outcome = await deploy(
        { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: false },
        {
          ...operator,
          confirm: (question) => {
            asked.push(question);
            return Promise.resolve(asked.length === 1 || agrees);
          },
        },
      );

      expect(asked.at(-1)).toBe("Roll back to release 1, and overwrite the data with that of the set?");
      expect(outcome.exitCode).toBe(agrees ? 4 : 1);
      expect(stack.images["n8n"]).toBe(pulled(agrees ? BEFORE : AFTER));
      expect(commands().includes("restore")).toBe(agrees);
      if (!agrees)
        expect(outcome.text).toContain(
          'or go back with the data of before: npm run rollback -- test --with-data --reason "…"',
        );
    },
  );

  it("loses no data because it is slow", async () => {
    stack.verify = failsAs("performance-health");
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("npm run rollback -- test --with-data");
    expect(commands()).toEqual([]);
    expect(isNew()).toBe(true);
    // And that command does it.
    expect((await back()).text).toContain("release 1 runs again");
  });

  it("stays, and says why, when the server refuses its set", async () => {
    stack.verify = failsAs("functional-n8n");
    refused = { [SET]: "technicia:n8nEncryptionKey: expected the key that the set was made with" };
    const outcome = await run();

    expect(outcome.text).toContain("technicia:n8nEncryptionKey: expected the key");
    expect(outcome.text).toContain("release 2 was not rolled back");
    expect(isNew()).toBe(true);
  });

  it("names the command that goes on when its data did not come back whole", async () => {
    stack.verify = failsAs("functional-n8n");
    restore = () => {
      throw new UserError("n8n does not start");
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "the rollback to release 1 failed: n8n does not start\ngo on with npm run",
    );
    expect(stack.ups).toHaveLength(2);
    expect(await stack.lastRelease()).toMatchObject({ outcome: "failed", restored: 1, set: SET });
    restore = () => restored;

    expect((await back()).text).toContain("release 1 runs again");
    expect(stack.programCalls.at(-1)?.[2]).toBe(SET);
  });

  it("that changed the kind of database stays, and the way back is by the settings", async () => {
    setN8n(stack, BEFORE);
    stack.off = new Set();
    const settings = stack.settings.replace("database: sqlite", "database: postgres");
    stack.settings = settings;
    let hasRun = false;
    stack.up = () => {
      hasRun = true;
      return Promise.resolve(undefined);
    };
    stack.verify = () => Promise.resolve([hasRun ? failing : ok]);
    const outcome = await run();

    expect(stack.printed.join("\n")).toContain("n8n's database SQLite → PostgreSQL: the new version");
    expect(stack.parts).toContain("set");
    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "or put services.n8n.database and the images back there and deploy that; if n8n's data has moved already, preflight refuses that and says what to do",
    );
    expect(commands()).toEqual([]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { judgeUpgrade } from "../../../ops/deploy/data-upgrade.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { upgrade, type UpgradeRequest } from "../../../ops/deploy/upgrade.ts";
import type { CheckContext } from "../../../ops/checks/context.ts";
import { failing, ok, pulled, TestStack } from "./test-stack.ts";

const OLD = "qdrant/qdrant:v1.19.0-unprivileged";
const NEXT = "qdrant/qdrant:v1.20.0-unprivileged";
const SET = "0123456789abcdef";

let stack: TestStack;
let settings: string;
let step: () => unknown;
/** Image that the server itself names; undefined: it does not answer. */
let onServer: string | undefined;

const upgraded = {
  ...{ set: SET, only: ["qdrant"], stoppedSeconds: 9, took: 12 },
  counts: { qdrant: { technicia: 10_000 } },
};

beforeEach(async () => {
  stack = await TestStack.open();
  stack.keepBackups();
  [step, onServer] = [() => upgraded, OLD];
  stack.takeSet = () => Promise.resolve(SET);
  stack.program = ([command]) => {
    if (command === "list")
      return [
        { id: SET, time: "2026-11-24T09:00:00Z", tags: ["release-2"], size: null, sent: null, drill: null },
      ];
    if (command === "upgrade") return step();
    const about = {
      id: SET,
      time: "2026-11-24T09:00:00Z",
      minutesLost: 2,
      release: null,
      indexedSince: {},
      items: {},
    };
    return command === "plan" ? about : upgraded;
  };
  stack.services = () => {
    if (onServer === undefined) throw new UserError("server: no route to host");
    return onServer;
  };
  await deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    stack.operator,
  );
  settings = stack.settings;
  stack.parts.length = stack.printed.length = stack.calls.length = 0;
});

afterEach(() => stack[Symbol.asyncDispose]());

const to = (version: string, request: Partial<UpgradeRequest> = {}) =>
  upgrade({ stack: "test", service: "qdrant", version, yes: true, ...request }, stack.operator);

describe("upgrade", () => {
  it("previews, makes a set, has the server do the step, deploys, verifies, and writes the version into the settings", async () => {
    let upsBefore = -1;
    let seen: CheckContext | undefined;
    step = () => {
      upsBefore = stack.ups.length;
      return upgraded;
    };
    const outcome = await upgrade(
      { stack: "test", service: "qdrant", version: "1.20.0", yes: true },
      {
        ...stack.operator,
        preflight: (context) => {
          seen = context;
          return Promise.resolve([ok]);
        },
      },
    );

    expect(outcome.exitCode).toBe(0);
    expect(stack.parts).toEqual(["plan", "set", "up", "verify", "rehearse release-2"]);
    expect(seen?.upgrades).toBe("qdrant");
    expect(upsBefore).toBe(0);
    expect(stack.programCalls).toEqual([
      [
        ...["upgrade", "--service", "technicia-qdrant", "--image", pulled(NEXT), "--set", SET],
        ...["--command", "npm run upgrade -- test qdrant 1.20.0"],
      ],
    ]);
    expect(stack.printed).toContain(`Qdrant of test goes from 1.19.0 to 1.20.0: ${NEXT}`);
    expect(stack.printed).toContain("Qdrant 1.20.0 has the same counts: 10000 technicia");
    expect(stack.settings).toBe(settings.replace(OLD, NEXT));
    expect(outcome.text).toContain("Pulumi.test.yaml names 1.20.0 now; have that reviewed");
    expect(stack.images["qdrant"]).toBe(pulled(NEXT));
    expect(await stack.history()).toContain(
      "maintenance: Qdrant 1.20.0 : mêmes comptes qu'avant (10000 technicia), arrêt de 9 s",
    );
  });

  it("leaves everything as it was when the server takes the step back, and says why", async () => {
    step = () => {
      throw new UserError(
        "qdrant technicia: expected 10000 points, got 9999; technicia-qdrant runs it again",
      );
    };

    await expect(to("1.20.0")).rejects.toThrow("expected 10000 points, got 9999");
    expect(stack.settings).toBe(settings);
    expect(stack.ups).toEqual([]);
    expect((await stack.lastRelease()).outcome).toBe("failed");
    expect(stack.printed).toContain("Pulumi.test.yaml is as it was");
  });

  it.each([
    ["it runs", pulled(NEXT)],
    ["the server cannot be asked", undefined],
  ])("keeps the next version in the settings when its connection broke and %s", async (_why, image) => {
    step = () => {
      onServer = image;
      throw new UserError("server: the connection broke");
    };

    await expect(to("1.20.0")).rejects.toThrow("the connection broke");
    expect(stack.settings).toBe(settings.replace(OLD, NEXT));
  });

  it("is rolled back with its data when the verification fails, and so are the settings", async () => {
    stack.verify = () => Promise.resolve([stack.images["qdrant"] === pulled(NEXT) ? failing : ok]);
    const outcome = await to("1.20.0");

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("release 1 runs again, with the data of set 01234567");
    expect(stack.settings).toBe(settings);
  });

  it("changes nothing when nobody confirms", async () => {
    stack.confirms = false;

    expect((await to("1.20.0", { yes: false })).exitCode).toBe(3);
    expect(stack.settings).toBe(settings);
    expect(stack.programCalls).toEqual([]);
  });

  it("does one step at a time, and nothing else with it that changes the format of data", async () => {
    stack.setImage("n8n", "n8nio/n8n:2.42.0");
    stack.setImage("n8nRunners", "n8nio/runners:2.42.0");
    const changed = stack.settings;
    const outcome = await to("1.20.0");

    expect(outcome.exitCode).toBe(3);
    expect(outcome.text).toContain(
      "expected one step at a time, got n8n 2.41.3 → 2.42.0, Qdrant v1.19.0 → v1.20.0",
    );
    expect(stack.settings).toBe(changed);
    expect(stack.programCalls).toEqual([]);
  });

  it("finishes first what a restart of the server has interrupted", async () => {
    stack.restoring = SET;
    stack.finishedBy = "npm run upgrade -- test qdrant 1.20.0";
    step = () => {
      stack.restoring = undefined;
      return upgraded;
    };

    expect((await to("1.20.0")).exitCode).toBe(0);
    expect(stack.programCalls.map(([command]) => command)).toEqual(["upgrade", "upgrade"]);
  });

  it("goes no further without a set", async () => {
    stack.takeSet = () => Promise.resolve(undefined);

    await expect(to("1.20.0")).rejects.toThrow(
      "test: expected a set of backups before the upgrade, got none",
    );
    expect(stack.settings).toBe(settings);
    expect(stack.programCalls).toEqual([]);
  });

  it.each([
    ["1.21.0", "qdrant", "go to 1.20 first"],
    ["2.0.0", "qdrant", "expected a version 1.x, got 2.0.0"],
    ["1.18.3", "qdrant", "npm run rollback -- test --with-data goes back with the data of then"],
    ["1.19.0", "qdrant", "expected a later version than 1.19.0, which runs already"],
    ["latest", "qdrant", 'expected a whole version of Qdrant such as 1.20.0, got "latest"'],
    ["1.20", "qdrant", 'expected a whole version of Qdrant such as 1.20.0, got "1.20"'],
    [
      "2.42.0",
      "n8n",
      "expected qdrant (one minor version at a time) or postgres (one major version at a time)",
    ],
    ["18.1", "postgres", "n8n of test has its data in SQLite"],
  ])("refuses %s of %s before anything changes", async (version, service, expected) => {
    await expect(to(version, { service })).rejects.toThrow(expected);
    expect(stack.settings).toBe(settings);
    expect(stack.parts).toEqual([]);
    expect(await stack.releases()).toHaveLength(1);
  });

  it("asks the registry for the version first", async () => {
    const operator = {
      ...stack.operator,
      imageDigest: () => Promise.reject(new UserError(`${NEXT}: the registry has no such image`)),
    };

    await expect(
      upgrade({ stack: "test", service: "qdrant", version: "v1.20.0", yes: true }, operator),
    ).rejects.toThrow("the registry has no such image");
    expect(stack.settings).toBe(settings);
  });

  it("names the next version by its digest where the settings do", async () => {
    stack.setImage("qdrant", pulled(OLD));
    const pinned = stack.settings;

    expect((await to("1.19.1")).exitCode).toBe(0);
    expect(stack.settings).toBe(pinned.replace(pulled(OLD), pulled(OLD.replace("1.19.0", "1.19.1"))));
  });
});

describe("judgeUpgrade", () => {
  const judge = (from: string, version: string) =>
    judgeUpgrade("postgres", { stack: "test", from, to: version });

  it.each([
    ["17.9", "18.1"],
    ["17.9", "17.10"],
  ])("lets PostgreSQL go from %s to %s", (from, version) => {
    expect(judge(from, version)).toBeUndefined();
  });

  it.each([
    ["17.9", "19.0", "go to 18 first"],
    ["17.9", "16.12", "expected a later version than 17.9"],
    ["17.9", "17.8", "expected a later version than 17.9"],
    ["17.9", "17.9", "which runs already"],
  ])("refuses PostgreSQL from %s to %s", (from, version, expected) => {
    expect(judge(from, version)).toContain(expected);
  });
});

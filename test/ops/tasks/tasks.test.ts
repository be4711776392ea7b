import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import type { AuditEvent } from "../../../common/release.ts";
import { UserError } from "../../../common/user-error.ts";
import { recordDone } from "../../../ops/tasks/done.ts";
import { listTasks, type TasksWorld } from "../../../ops/tasks/list.ts";
import { readHistory, appendHistory } from "../../../ops/server/records.ts";
import type { Server } from "../../../ops/server/connection.ts";
import { dueOf, tasksOf } from "../../../reports/tasks/tasks.ts";
import { release } from "../../reports/facts.ts";
import { fakePulumi, runCli } from "../../support/fake-pulumi.ts";
import { environmentWith, validSettings } from "../../support/fixtures.ts";
import { three } from "../../support/servers.ts";
import { TestFleet } from "../servers/test-fleet.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

const NOW = new Date("2026-11-24T10:00:00Z");

interface Given {
  readonly server: LocalServer;
  /** Answers of `jq` and apt on the server: what it says of its backups and its packages. */
  readonly backups?: object;
  readonly patches?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
}

function worldOf({ server, backups, patches = "", settings = {} }: Given) {
  const entries = Object.entries({ ...validSettings(), monitoring: { enabled: true }, ...settings }).map(
    ([name, value]) => [
      `technicia:${name}`,
      { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) },
    ],
  );
  const ssh = {
    address: "203.0.113.10",
    port: 22,
    user: "debian",
    privateKeyFile: "~/.ssh/id",
    hostKey: "k",
  };
  const { pulumi } = fakePulumi(([first]) => ({
    stdout: JSON.stringify(first === "config" ? Object.fromEntries(entries) : { ssh }),
  }));
  const run: Server["run"] = (command) => {
    if (command.purpose === "read the status of the backups")
      return Promise.resolve({ stdout: backups === undefined ? "" : JSON.stringify(backups), stderr: "" });
    if (command.purpose === "look for pending upgrades")
      return Promise.resolve({ stdout: patches, stderr: "" });
    return server.run(command);
  };
  return {
    pulumi,
    openServer: () => ({ ...server, run }),
    now: () => NOW,
    identity: { who: "alice@laptop", run: "", process: 1 },
    readScanned: () => Promise.resolve({ why: "no scan here" }),
  } satisfies TasksWorld & Record<string, unknown>;
}

/** A release on that server, a month ago. */
async function began({ folder }: LocalServer): Promise<void> {
  await mkdir(join(folder, "releases"), { recursive: true });
  const record = release(1, { startedAt: "2026-10-20T08:00:00.000Z" });
  await writeFile(join(folder, "releases", "000001.end.json"), JSON.stringify(record));
}

const event = (change: Partial<AuditEvent>): AuditEvent => ({
  ...{ at: "2026-11-24T02:00:00.000Z", who: "nuit", action: "drift", reason: "", detail: "aucun écart" },
  ...change,
});

async function tasks(world: TasksWorld) {
  const { text, exitCode } = await listTasks({ stack: "test", json: true }, world);
  expect(exitCode).toBe(0);
  return JSON.parse(text) as {
    readonly tasks: readonly Readonly<Record<string, string | number | boolean | null>>[];
    readonly unread: readonly string[];
  };
}

async function task(name: string, world: TasksWorld) {
  return (await tasks(world)).tasks.find((one) => one["name"] === name);
}

describe("npm run tasks", () => {
  it("lists the tasks of the team's guide and this project's own, what is due longest first", async () => {
    await using server = await startLocalServer();
    await began(server);
    await appendHistory(server, event({}));
    const { text } = await listTasks({ stack: "test", json: false }, worldOf({ server }));
    const names = text.split("\n").flatMap((line) => /^([a-z]+)\*? {2,}/.exec(line)?.[1] ?? []);

    expect(names).toEqual([
      ...["logs", "metrics", "performance", "incidents", "documentation", "prune"],
      ...["thresholds", "resources", "alerts", "check", "drift", "patches"],
      ...["backups", "scan", "drill", "recovery", "rotation"],
    ]);
    expect(new Set(names)).toEqual(
      new Set(tasksOf({ drillDays: 7, isMonitored: true }).map(({ name }) => name)),
    );
    expect(text).toMatch(/^logs\* +daily +never +2026-10-21 +npm run logs -- test --errors$/m);
    expect(text).toContain("\nscan: no scan here\n");
    expect(text).toContain("\n10 tasks are due\n");
    expect(text).toContain('npm run tasks -- test done <task> --comment "…"');
  });

  it("takes the last time from the record that proves it", async () => {
    await using server = await startLocalServer();
    await began(server);
    await appendHistory(server, event({}));
    await appendHistory(server, event({ action: "alert-test", detail: "test des alertes : team reçu" }));
    await appendHistory(
      server,
      event({ action: "alert", at: "2026-11-24T03:00:00.000Z", detail: "non reçu" }),
    );
    await appendHistory(server, event({ action: "maintenance", detail: "maintenance refusée : fermée" }));
    const drills = [
      { set: "0123456789", at: "2026-11-20T03:00:00.000Z", took: 60, passed: true, findings: [], counts: {} },
      {
        set: "0123456789",
        at: "2026-11-22T03:00:00.000Z",
        took: 60,
        passed: false,
        findings: ["x"],
        counts: {},
      },
    ];
    const last = { id: "0123456789", time: "2026-11-24T09:00:00.000Z" };
    const world = worldOf({
      server,
      backups: { last, drills, setUpAt: "2026-10-20T08:00:00Z" },
      patches: "reboot\tx",
    });

    expect(await task("drift", world)).toMatchObject({ lastDone: "2026-11-24T02:00:00.000Z", isDue: false });
    expect(await task("alerts", world)).toMatchObject({ lastDone: "2026-11-24T02:00:00.000Z", isDue: false });
    expect(await task("backups", world)).toMatchObject({ lastDone: last.time, isDue: false });
    expect(await task("drill", world)).toMatchObject({
      lastDone: drills[0]!.at,
      isDue: false,
      dueFrom: "2026-11-27",
    });
    expect(await task("recovery", world)).toMatchObject({ lastDone: drills[0]!.at, dueFrom: "2026-12-20" });
    expect(await task("patches", world)).toMatchObject({
      lastDone: null,
      isDue: true,
      dueFrom: "2026-11-19",
    });
  });

  it("needs no maintenance of a server on which nothing waits", async () => {
    await using server = await startLocalServer();
    await began(server);

    expect(await task("patches", worldOf({ server }))).toMatchObject({ isDue: false, dueFrom: "2026-12-24" });
  });

  it("says what it could not read, and fails not", async () => {
    await using server = await startLocalServer();
    const world = worldOf({ server });
    const down = () => Promise.reject(new UserError("expected an answer within 10 s, got none"));
    const { tasks: all, unread } = await tasks({ ...world, openServer: () => ({ ...server, run: down }) });

    expect(unread).toEqual([
      "the records could not be read: expected an answer within 10 s, got none",
      "pending upgrades could not be read: expected an answer within 10 s, got none",
    ]);
    expect(all.find(({ name }) => name === "logs")).toMatchObject({
      lastDone: null,
      unknown: "expected an answer within 10 s, got none",
      isDue: false,
    });
    expect(await task("scan", world)).toMatchObject({ unknown: "no scan here" });
    expect(await task("drill", world)).toMatchObject({ unknown: "no backups are set up" });
  });

  it("leaves out the test of alerts where there is no monitoring, and takes the period of the drills", async () => {
    await using server = await startLocalServer();
    const { backup } = environmentWith();
    const settings = { monitoring: { enabled: false }, backup: { ...backup, drillDays: 14 } };
    const world = worldOf({ server, settings });

    expect(await task("alerts", world)).toBeUndefined();
    expect(await task("drill", world)).toMatchObject({ days: 14, how: "server: npm run drill -- test" });
  });
});

describe("npm run tasks -- <stack> done", () => {
  it("records who did it, with the remark, until the next time", async () => {
    await using server = await startLocalServer();
    await began(server);
    const world = worldOf({ server });
    const outcome = await recordDone({ stack: "test", task: "thresholds", comment: "rien à changer" }, world);

    expect(outcome).toEqual({
      text: "test: recorded that alice@laptop has done thresholds; due again on 2026-12-24",
      exitCode: 0,
    });
    const { events } = await readHistory(server);
    expect(events).toEqual([
      {
        ...{ at: NOW.toISOString(), who: "alice@laptop", action: "task", reason: "rien à changer" },
        detail: "tâche faite : revue des seuils d'alerte (thresholds)",
      },
    ]);
    expect(await task("thresholds", world)).toMatchObject({
      ...{ lastDone: NOW.toISOString(), by: "alice@laptop", isDue: false, dueFrom: "2026-12-24" },
    });
    expect(await task("logs", world)).toMatchObject({ lastDone: null });
  });

  it.each([
    [
      "drift",
      /expected one that a person confirms \(logs, .*\), got "drift", whose record is audit: drift; do it: CI: npm run drift -- test$/,
    ],
    ["coffee", /^task: expected one of logs, .*, got "coffee"; npm run tasks -- test lists all$/],
  ])("refuses %s", async (name, message) => {
    await using server = await startLocalServer();

    await expect(recordDone({ stack: "test", task: name, comment: "" }, worldOf({ server }))).rejects.toThrow(
      message,
    );
    expect(server.purposes).toEqual([]);
  });

  it.each([
    [["tasks"], "expected the name of one stack"],
    [["tasks", "test", "done"], 'expected done and one task, got "done"'],
    [["tasks", "test", "do", "logs"], 'expected done and one task, got "do logs"'],
    [["tasks", "test", "--comment", "x"], "--comment: expected done <task> with it"],
    [["tasks", "test", "done", "logs", "--json"], "--json: expected it without done"],
  ])("fails with the usage when given %j", async (args, message) => {
    const run = await runCli(args, {});

    expect(run).toMatchObject({ code: 1, stdout: "", calls: [] });
    expect(run.stderr).toContain(message);
    expect(run.stderr).toMatch(/^usage: npm run tasks -- <stack>/m);
  });
});

describe("a task", () => {
  const of = (days: number | undefined, at: string | undefined, today: string, isAutomatic = false) =>
    dueOf({ days, isAutomatic }, { last: { at }, began: undefined, today });

  it("is due one period later, by the days of the team", () => {
    expect(of(1, "2026-11-23T22:30:00Z", "2026-11-23")).toEqual({ from: "2026-11-24", isDue: false });
    expect(of(1, "2026-11-23T22:30:00Z", "2026-11-24")).toEqual({ from: "2026-11-24", isDue: true });
    // Half past midnight in Paris.
    expect(of(1, "2026-11-23T23:30:00Z", "2026-11-24")).toEqual({ from: "2026-11-25", isDue: false });
  });

  it("has its day to run by itself", () => {
    expect(of(1, "2026-11-23T01:17:00Z", "2026-11-24", true).isDue).toBe(false);
    expect(of(1, "2026-11-23T01:17:00Z", "2026-11-25", true).isDue).toBe(true);
  });

  it("is due never without a period or a beginning", () => {
    expect(of(undefined, "2026-01-01T00:00:00Z", "2026-11-24")).toEqual({ from: undefined, isDue: false });
    expect(of(1, undefined, "2026-11-24")).toEqual({ from: undefined, isDue: false });
  });

  it("names a command that there is", async () => {
    const { scripts } = JSON.parse(await readFile("package.json", "utf8")) as { scripts: object };
    const named = tasksOf({ drillDays: 7, isMonitored: true }).flatMap(({ how }) => [
      ...how("test").matchAll(/npm run ([a-z:]+)/g),
    ]);

    expect(named.map(([, name]) => name).filter((name) => !Object.keys(scripts).includes(name!))).toEqual([]);
    expect(named.length).toBeGreaterThan(12);
  });
});

describe("the tasks of several servers", () => {
  const patchesOf = async (fleet: TestFleet) => {
    const world = { ...fleet.world, now: () => NOW, readScanned: () => Promise.resolve({ why: "no scan" }) };
    const { tasks: found, unread } = await tasks(world);
    const own = found.filter(({ name }) => String(name).startsWith("patches"));
    return { own, unread };
  };

  it("ask for a maintenance of each", async () => {
    await using fleet = await TestFleet.open(three);
    fleet.stack.deployed = true;
    const home = fleet.servers.get("gra-1")!;
    await began(home);
    const done = "maintenance terminée, serveur redémarré, vérification réussie : libssl3";
    await appendHistory(home, event({ action: "maintenance", detail: `gra-3 : ${done}` }));
    fleet.instead["look for pending upgrades"] = () => "reboot\tx";
    const { own } = await patchesOf(fleet);

    expect(own.map(({ name, isDue, how }) => [name, isDue, how])).toEqual([
      ["patches", true, "npm run maintain -- test"],
      ["patches-gra-2", true, "npm run maintain -- test --server gra-2"],
      ["patches-gra-3", false, "npm run maintain -- test --server gra-3"],
    ]);
  });

  it("ask for none of a server on which nothing waits, and name one that does not say", async () => {
    await using fleet = await TestFleet.open(three);
    fleet.stack.deployed = true;
    await began(fleet.servers.get("gra-1")!);
    await fleet.powerOff("gra-3");
    const { own, unread } = await patchesOf(fleet);

    expect(own.map(({ name, isDue }) => [name, isDue])).toEqual([
      ["patches-gra-3", true],
      ["patches", false],
      ["patches-gra-2", false],
    ]);
    expect(unread).toEqual([
      expect.stringMatching(/^pending upgrades of gra-3 could not be read: ssh 203\.0\.113\.12:22/),
    ]);
  });
});

import { createHash } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  appendHistory,
  finishRelease,
  readHistory,
  readRecords,
  readReleases,
  startRelease,
} from "../../../ops/server/records.ts";
import type { AuditEvent, Release } from "../../../common/release.ts";
import { startLocalServer, type LocalServer } from "./local-server.ts";

let server: LocalServer;

beforeEach(async () => {
  server = await startLocalServer();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const begun: Omit<Release, "number" | "outcome"> = {
  stack: "test",
  kind: "deploy",
  revision: "abc",
  images: {},
  settingsHash: "0".repeat(64),
  settings: { uploadMaxMib: 200 },
  who: "alice@laptop",
  reason: "l'été \"d'ici\"\nà $HOME",
  emergency: false,
  startedAt: "2026-11-24T10:00:00.000Z",
  preflight: [],
  verify: [],
  restoredVerify: [],
  seconds: {},
};

const event: AuditEvent = {
  at: "2026-11-24T10:00:00.000Z",
  who: "alice@laptop",
  action: "deploy",
  reason: "",
  detail: 'version 1 en service : l\'été, "$HOME"',
};

const folder = () => join(server.folder, "releases");

describe("releases", () => {
  it("are empty on a server without records", async () => {
    expect(await readReleases(server)).toMatchObject({ releases: [], corrupt: [], last: 0 });
  });

  it("are read as they were written, with their end once they have one", async () => {
    const first = await startRelease(server, begun);
    await startRelease(server, begun);
    const ended: Release = { ...first, outcome: "succeeded", images: { n8n: "n8nio/n8n:2.41.3@sha256:ab" } };
    await finishRelease(server, ended);

    expect((await readReleases(server)).releases).toEqual([
      ended,
      { ...begun, number: 2, outcome: "running" },
    ]);
    expect(await readdir(folder())).toEqual(["000001.end.json", "000001.json", "000002.json"]);
  });

  it("are readable by root alone", async () => {
    await startRelease(server, begun);

    expect((await stat(join(folder(), "000001.json"))).mode & 0o777).toBe(0o640);
    expect((await stat(folder())).mode & 0o777).toBe(0o750);
  });

  it("get a number each, however many begin at once", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => startRelease(server, begun)));

    expect(all.map(({ number }) => number).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await readReleases(server)).releases).toHaveLength(8);
  });

  it("have one end: a second one is refused and changes nothing", async () => {
    const first = await startRelease(server, begun);
    await finishRelease(server, { ...first, outcome: "succeeded" });

    await expect(finishRelease(server, { ...first, outcome: "failed" })).rejects.toThrow(
      "/var/lib/technicia/releases/000001.end.json: somebody else has recorded the end of release 1",
    );
    expect((await readReleases(server)).releases).toMatchObject([{ outcome: "succeeded" }]);
  });

  it.each([
    ["{ not JSON", "expected a release as JSON, got another text"],
    ["", "expected a release as JSON, got another text"],
    ['{"number":1,"stack":3}', "expected a release, got one with problems in stack, kind, revision,"],
    [JSON.stringify({ ...begun, number: 9, outcome: "running" }), "expected release 1, got 9"],
  ])(
    "are reported with their path, and keep file and number, when they are corrupt (%j)",
    async (text, problem) => {
      await mkdir(folder(), { recursive: true });
      await writeFile(join(folder(), "000001.json"), text);
      const next = await startRelease(server, begun);
      const { releases, corrupt } = await readReleases(server);

      expect(next.number).toBe(2);
      expect(releases.map(({ number }) => number)).toEqual([2]);
      expect(corrupt).toEqual([
        {
          path: "/var/lib/technicia/releases/000001.json",
          problem: expect.stringContaining(problem) as string,
        },
      ]);
      expect(await readFile(join(folder(), "000001.json"), "utf8")).toBe(text);
    },
  );

  it("count neither as running nor as ended when their end is corrupt", async () => {
    await startRelease(server, begun);
    await writeFile(join(folder(), "000001.end.json"), "half");

    expect(await readReleases(server)).toMatchObject({
      releases: [],
      corrupt: [{ path: "/var/lib/technicia/releases/000001.end.json" }],
      last: 1,
    });
  });

  it("are read when a later version of the commands wrote them", async () => {
    await mkdir(folder(), { recursive: true });
    const later = { ...begun, number: 1, outcome: "running", somethingNew: 1 };
    await writeFile(join(folder(), "000001.json"), JSON.stringify(later));

    expect((await readReleases(server)).releases).toMatchObject([{ number: 1 }]);
  });

  it("do not include half-written or foreign files", async () => {
    await startRelease(server, begun);
    await writeFile(join(folder(), ".new.abcdefgh"), "half");
    await writeFile(join(folder(), "notes.json"), "{}");

    expect(await readReleases(server)).toMatchObject({
      releases: [{ number: 1 }],
      corrupt: [{ path: "/var/lib/technicia/releases/notes.json" }],
    });
  });
});

describe("history", () => {
  const file = () => join(server.folder, "history.jsonl");

  it("is empty on a server without records", async () => {
    expect(await readHistory(server)).toEqual({ events: [], links: [], corrupt: [] });
  });

  it("returns events in the order of their addition", async () => {
    await appendHistory(server, event);
    await appendHistory(server, { ...event, action: "rollback", release: 3 });

    expect((await readHistory(server)).events).toEqual([event, { ...event, action: "rollback", release: 3 }]);
  });

  it("keeps every line whole when many write at once", async () => {
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        appendHistory(server, { ...event, detail: "x".repeat(20_000 + index) }),
      ),
    );
    const { events, corrupt } = await readHistory(server);

    expect(corrupt).toEqual([]);
    expect(events.map(({ detail }) => detail.length).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 8 }, (_, index) => 20_000 + index),
    );
  });

  it("makes the file append-only", async () => {
    await appendHistory(server, event);

    expect(await readFile(join(server.folder, "..", "chattr"), "utf8")).toBe(`+a ${file()}\n`);
  });

  it("reports a corrupt line with its number, and writes the next one whole", async () => {
    await appendHistory(server, event);
    await appendFile(file(), '{"at":"2026-11');
    await appendHistory(server, event);
    const { events, corrupt } = await readHistory(server);

    expect(events).toEqual([event, event]);
    expect(corrupt).toEqual([
      {
        path: "/var/lib/technicia/history.jsonl:2",
        problem: "this line is no event of the audit",
      },
    ]);
  });
});

describe("the chain of records", () => {
  const file = () => join(server.folder, "history.jsonl");
  const record = (name: string) => join(server.folder, "releases", name);
  const changed = async () =>
    (await readRecords(server)).corrupt.map(({ path, problem }) => `${path}: ${problem}`);
  const OTHER = "the line before is another one than when this line was written";
  const replaceLines = async (change: (lines: string[]) => string[]) => {
    const lines = (await readFile(file(), "utf8")).trimEnd().split("\n");
    await writeFile(file(), `${change(lines).join("\n")}\n`);
  };

  beforeEach(async () => {
    await appendHistory(server, event);
    const running = await startRelease(server, begun);
    await finishRelease(server, { ...running, outcome: "succeeded", finishedAt: begun.startedAt });
    await appendHistory(server, { ...event, detail: 'with "quotes", a \\ and a }' });
    await appendHistory(server, event);
  });

  it("holds while nobody changes anything", async () => {
    expect(await changed()).toEqual([]);
    const { events, releases } = await readRecords(server);
    expect([events.length, releases.length]).toEqual([3, 1]);
    expect(events[1]?.detail).toBe('with "quotes", a \\ and a }');
  });

  it("shows a line that was changed, removed, added or moved", async () => {
    const whole = await readFile(file(), "utf8");
    const changes: [string, (lines: string[]) => string[], string[]][] = [
      [
        "changed",
        (all) => all.map((line, at) => (at === 0 ? line.replace("deploy", "repair") : line)),
        [`:2: ${OTHER}`],
      ],
      ["removed", (all) => all.filter((_, at) => at !== 1), [`:2: ${OTHER}`]],
      [
        "moved",
        ([first = "", second = "", ...rest]) => [second, first, ...rest],
        [`:1: ${OTHER}`, `:2: ${OTHER}`, `:3: ${OTHER}`],
      ],
      [
        "added",
        (all) => [...all.slice(0, 2), JSON.stringify(event), ...all.slice(2)],
        [":3: this line lacks the digest of the line before, which these commands write", `:4: ${OTHER}`],
      ],
    ];
    for (const [what, change, expected] of changes) {
      await writeFile(file(), whole);
      await replaceLines(change);
      expect(await changed(), what).toEqual(
        expected.map((text) => `/var/lib/technicia/history.jsonl${text}`),
      );
    }
  });

  it("shows a record of a release that was changed or removed", async () => {
    await writeFile(
      record("000001.json"),
      (await readFile(record("000001.json"), "utf8")).replace("alice", "eve"),
    );
    await rm(record("000001.end.json"));

    expect(await changed()).toEqual([
      "/var/lib/technicia/releases/000001.json: it was changed after it had been written",
      "/var/lib/technicia/releases/000001.end.json: it was removed",
    ]);
  });

  it("holds over lines that a restore has brought back, and goes on after them", async () => {
    const old = [
      { ...event, at: "2026-11-20T10:00:00.000Z", previous: "0".repeat(64) },
      { ...event, at: "2026-11-21T10:00:00.000Z", previous: "1".repeat(64) },
    ];
    const last = (await readFile(file(), "utf8")).trimEnd().split("\n").at(-1) ?? "";
    const previous = createHash("sha256").update(`${last}\n`).digest("hex");
    const added = [{ restored: "0a1b2c3d", lines: 2, previous }, ...old];
    await appendFile(file(), added.map((line) => `${JSON.stringify(line)}\n`).join(""));
    await appendHistory(server, event);

    expect(await changed()).toEqual([]);
    expect((await readRecords(server)).events.map(({ at }) => at.slice(0, 10))).toEqual([
      "2026-11-20",
      "2026-11-21",
      ...Array.from({ length: 4 }, () => "2026-11-24"),
    ]);
  });

  it("keeps the records of a server that was set up anew, where the old ones that come back have the same numbers", async () => {
    const last = (await readFile(file(), "utf8")).trimEnd().split("\n").at(-1) ?? "";
    const previous = createHash("sha256").update(`${last}\n`).digest("hex");
    const old = (record: string) => ({ record, sha256: "f".repeat(64), previous: "0".repeat(64) });
    const added = [{ restored: "0a1b2c3d", lines: 2, previous }, old("000001.json"), old("000009.json")];
    await appendFile(file(), added.map((line) => `${JSON.stringify(line)}\n`).join(""));

    expect(await changed()).toEqual(["/var/lib/technicia/releases/000009.json: it was removed"]);
  });

  it("begins after what earlier versions have written without digests", async () => {
    await writeFile(file(), `${JSON.stringify(event)}\n${JSON.stringify(event)}\n`);
    await appendHistory(server, event);

    expect(await changed()).toEqual([]);
  });
});

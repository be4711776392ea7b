import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { drillStack, makeSet } from "../../../ops/backup/backup.ts";
import { listSets } from "../../../ops/backup/listing.ts";
import { readMeasured } from "../../../ops/backup/measured.ts";
import { restoreStack, type RestoreRequest } from "../../../ops/backup/restore.ts";
import { undeleteSets } from "../../../ops/backup/undelete-command.ts";
import type { BackupWorld } from "../../../ops/backup/world.ts";
import type { Server } from "../../../ops/server/connection.ts";
import { takeLock } from "../../../ops/server/lock.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { deploymentFacts, environmentWith, validSettings } from "../../support/fixtures.ts";
import { describeAccess, describeStatus } from "../../../stacks/deployment-status.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

const SNAPSHOT = "the encrypted description of a set";
const ID = createHash("sha256").update(SNAPSHOT).digest("hex");
const SHORT = ID.slice(0, 8);
const MARKED = "4dabf18193072939515e22adb298388d";

const counts = { qdrant: { technicia: 10_000 }, n8n: { workflows: 3 } };
const manifest = {
  stack: "test",
  startedAt: "2026-11-24T09:00:00Z",
  release: { number: 7 },
  indexedSince: { technicia: 10_002 },
  items: Object.fromEntries(
    Object.entries(counts).map(([name, known]) => [
      name,
      { at: "2026-11-24T09:00:00Z", took: 1.5, size: 6_000_000, counts: known },
    ]),
  ),
};
const made = {
  id: ID,
  time: "2026-11-24T09:00:09Z",
  repository: "s3:https://s3.example.org/ours/test",
  sent: 5_000_000,
  took: 20,
  warnings: ["n8n, credentials: expected about 9"],
  manifest,
};
const drilled = {
  set: ID,
  at: "2026-11-24T02:30:00Z",
  took: 110,
  passed: true,
  findings: [] as string[],
  counts,
};
const plan = {
  ...{
    id: ID,
    time: made.time,
    minutesLost: 61,
    release: { number: 7 },
    indexedSince: { technicia: 10_002 },
  },
  items: { n8n: { at: manifest.startedAt, now: { workflows: 2 }, then: { workflows: 3 } } },
};
const restored = {
  set: ID,
  only: ["n8n"],
  counts: { n8n: { workflows: 3 } },
  stoppedSeconds: 12.5,
  took: 20,
};

const listed = {
  ...{ id: ID, time: made.time, tags: ["scheduled", "of-release-7"], size: 6_000_000, sent: 5_000_000 },
  ...{ drill: drilled, goes: false },
};
const OLD = "fedcba98".repeat(8);
const OWN_BUCKET = {
  bucket: { address: "https://s3.example.org", region: "eu-1", name: "ours" },
};

let backup: object;
let monitoring: object;
/** Results that the team was told of. */
let told: string[];
let local: LocalServer;
let calls: string[][];
let asked: string[];
let said: string[];
let agrees: boolean;
let answers: Record<string, unknown>;
let stored: string;
let fetched: Request[];
let variables: Record<string, string>;

beforeEach(async () => {
  local = await startLocalServer();
  [calls, asked, said, fetched, told] = [[], [], [], [], []];
  monitoring = {};
  [agrees, stored, variables, backup] = [true, SNAPSHOT, {}, OWN_BUCKET];
  answers = {
    make: made,
    overview: { sets: [listed, { ...listed, id: OLD, drill: null, goes: true }], stored: 3 * 1024 ** 3 },
    plan,
    restore: restored,
    undo: restored,
    drill: drilled,
  };
});
afterEach(() => local[Symbol.asyncDispose]());

function world(): BackupWorld {
  const settings = {
    ...validSettings(),
    backup,
    monitoring,
  };
  const values = Object.entries(settings).map(([key, objectValue]) => [
    `technicia:${key}`,
    {
      secret: false,
      value: typeof objectValue === "string" ? objectValue : JSON.stringify(objectValue),
      objectValue,
    },
  ]);
  const key = { secret: true, value: "reader0:secret-of-the-reader" };
  const environment = environmentWith();
  const access = describeAccess(environment, "203.0.113.10", "ssh-ed25519 AAAA");
  const { pulumi } = fakePulumi((args) =>
    args[0] === "config"
      ? { stdout: JSON.stringify(Object.fromEntries([...values, ["technicia:backupReaderKey", key]])) }
      : {
          stdout: JSON.stringify({
            deploymentStatus: describeStatus(environment, deploymentFacts()),
            ...access,
            url: "https://x",
            ipv4: "203.0.113.10",
            ipv6: "",
          }),
        },
  );
  const server: Server = {
    ...local,
    run: (command) => {
      if (command.script.includes("systemd-run")) return program(command.variables?.["WORDS"] ?? "");
      if (!command.purpose.endsWith("of the monitoring")) return local.run(command);
      const [, result] = /\\"result\\":\\"(.+?)\\"/.exec(command.stdin ?? "") ?? [];
      if (result !== undefined) told.push(result);
      return Promise.resolve({ stdout: '{"silenceID":"1"}\n200 \u001e', stderr: "" });
    },
  };
  return {
    ...{ pulumi, openServer: () => server, identity: { who: "alice@laptop", run: "", process: 1 } },
    ...{
      git: () => Promise.reject(new Error("no git")),
      now: () => new Date("2026-11-24T10:00:00Z"),
      every: () => () => undefined,
    },
    ...{
      pause: () => Promise.resolve(),
      isAlive: () => true,
      say: (line) => void said.push(line),
      signal: new AbortController().signal,
    },
    confirm: (question) => (asked.push(question), Promise.resolve(agrees)),
    openIncident: () => Promise.reject(new Error("no incident")),
    variables,
    fetch: (input, init) => {
      fetched.push(new Request(input, init));
      return Promise.resolve(new Response(stored));
    },
  };
}

function program(words: string): Promise<{ stdout: string; stderr: string }> {
  const call = words.split("\n");
  calls.push(call);
  const answer = answers[call[0] ?? ""];
  if (answer instanceof Error) return Promise.reject(answer);
  return Promise.resolve({ stdout: JSON.stringify(answer), stderr: "" });
}

const history = async () =>
  (await readHistory(local)).events.map(({ action, detail }) => `${action}: ${detail}`);
const request = (changes: Partial<RestoreRequest> = {}): RestoreRequest => ({
  ...{
    stack: "test",
    set: undefined,
    only: undefined,
    keepNothing: false,
    undo: false,
    yes: false,
    ...changes,
  },
});

describe("npm run backup", () => {
  it("prints the set, and reads it back from the storage itself with the reader's key", async () => {
    const { text, exitCode } = await makeSet({ stack: "test", acceptSmaller: false }, world());

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^Item +Of \(UTC\) +Size +Counts +Took\n/);
    expect(text).toContain("10000 technicia");
    expect(text).toContain(
      `set ${SHORT}: 4.8 MiB sent in 20 s to s3:https://s3.example.org/ours/test, and read back with the reader's key`,
    );
    expect(text).toContain("warning: n8n, credentials: expected about 9");
    expect(calls).toEqual([["make", "--tag", "manual", "--qdrant"]]);
    expect(fetched.map(({ url }) => url)).toEqual([`https://s3.example.org/ours/test/snapshots/${ID}`]);
    expect(fetched[0]?.headers.get("authorization")).toContain("Credential=reader0/");
    expect(await history()).toEqual([`backup: jeu ${SHORT} : qdrant 10000 technicia ; n8n 3 workflows`]);
  });

  it("fails when the storage gives back something else, whatever the server says", async () => {
    stored = "junk";

    await expect(makeSet({ stack: "test", acceptSmaller: false }, world())).rejects.toThrow(
      `https://s3.example.org/ours/test/snapshots/${ID}: expected the set ${SHORT}, got other contents`,
    );
    expect(await history()).toEqual([]);
  });

  it("fails with what the program says", async () => {
    answers["make"] = new UserError("could not make a set of backups: no space");

    await expect(makeSet({ stack: "test", acceptSmaller: true }, world())).rejects.toThrow("no space");
    expect(calls[0]).toContain("--accept-smaller");
  });

  it("does not take the answer of another version of the program for a set", async () => {
    answers["make"] = { id: ID };

    await expect(makeSet({ stack: "test", acceptSmaller: false }, world())).rejects.toThrow(
      /problems in time, repository, .*; run pulumi up first$/,
    );
  });
});

describe("npm run backups", () => {
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), "backups-"));
    vi.stubEnv("XDG_CACHE_HOME", cache);
  });
  afterEach(() => rm(cache, { recursive: true }));

  it("keeps the size of all sets for the costs in previews", async () => {
    backup = { project: "0123456789abcdef0123456789abcdef", region: "RBX" };
    await listSets({ stack: "test", json: false }, world());

    expect(await readMeasured(environmentWith({ backup }))).toMatchObject({ bytes: 3 * 1024 ** 3 });
    expect(await readMeasured(environmentWith())).toBeUndefined();
  });

  it("lists age, size, release, reason, rehearsal and what the next prune does to every set", async () => {
    const { text } = await listSets({ stack: "test", json: false }, world());

    expect(text.replace(/ +/g, " ").split("\n").slice(2)).toEqual([
      `${SHORT} 2026-11-24 09:00:09 1 h 5.7 MiB 7 scheduled 2026-11-24 02:30:00 `.trimEnd(),
      "fedcba98 2026-11-24 09:00:09 1 h 5.7 MiB 7 scheduled goes",
      "the next prune removes 1 of 2 sets: npm run backups -- test --prune",
      "together they take 3072.0 MiB; what that costs, your own storage says",
    ]);
    expect(calls[0]).toEqual([
      ...["overview", "--keep", "hourly=2d", "--keep", "daily=35d"],
      ...["--keep", "weekly=6m", "--keep", "monthly=2y"],
    ]);
  });

  it.each([
    ["RBX", "that costs about €0.02 a month without tax, at €0.007 for a GiB as of 2025-11"],
    ["EU-WEST-PAR", "that costs about €0.04 a month without tax, at €0.014 for a GiB as of 2025-11"],
  ])("names the price in the region %s, and of when it is", async (region, expected) => {
    backup = { project: "0123456789abcdef0123456789abcdef", region };
    const { text } = await listSets({ stack: "test", json: false }, world());

    expect(text).toContain(expected);
  });

  it("gives everything to a program", async () => {
    backup = { project: "0123456789abcdef0123456789abcdef", region: "RBX" };
    const { text } = await listSets({ stack: "test", json: true }, world());

    expect(JSON.parse(text)).toMatchObject({
      sets: [
        { id: ID, goes: false, drill: { passed: true } },
        { id: OLD, goes: true },
      ],
      ...{ stored: 3 * 1024 ** 3, price: { eurosPerGib: 0.007, of: "2025-11" } },
    });
  });

  it("names the command that makes the first", async () => {
    answers["overview"] = { sets: [], stored: 0 };

    expect((await listSets({ stack: "test", json: false }, world())).text).toBe(
      "test has no set yet; make one with npm run backup -- test",
    );
  });
});

describe("npm run drill", () => {
  it("prints and records a good rehearsal", async () => {
    const { text, exitCode } = await drillStack("test", world());

    expect(exitCode).toBe(0);
    expect(text).toContain(`the set ${SHORT} was restored in containers of its own in 110 s`);
    expect(calls).toEqual([["drill", "--report"]]);
    expect(await history()).toEqual([`drill: essai de restauration du jeu ${SHORT} en 110 s : réussi`]);
  });

  it("fails with what differs, and records it", async () => {
    answers["drill"] = {
      ...drilled,
      passed: false,
      findings: ["qdrant technicia: expected 10000 points, got 9"],
    };
    const { text, exitCode } = await drillStack("test", world());

    expect(exitCode).toBe(1);
    expect(text).toContain("failed: qdrant technicia: expected 10000 points, got 9");
    expect((await history())[0]).toContain("échoué : qdrant technicia: expected 10000 points, got 9");
  });
});

describe("npm run restore", () => {
  it("tells the team of its beginning and its end, where the server is watched", async () => {
    monitoring = { enabled: true };
    await restoreStack(request({ yes: true }), world());
    answers["restore"] = new UserError("could not restore the set: no space");
    await expect(restoreStack(request({ yes: true }), world())).rejects.toThrow("no space");

    expect(told).toEqual([
      `commencée : jeu ${SHORT}`,
      `terminée : jeu ${SHORT} : n8n 3 workflows ; arrêt de 12.5 s`,
      `commencée : jeu ${SHORT}`,
      "en échec : could not restore the set: no space",
    ]);
  });

  it("shows counts now and afterwards and what is lost, asks, restores, and records it", async () => {
    const { text, exitCode } = await restoreStack(request({ only: "n8n" }), world());

    expect(exitCode).toBe(0);
    expect(said.join("\n").replace(/ +/g, " ")).toContain("n8n 2026-11-24 09:00:00 2 workflows 3 workflows");
    expect(said.join("\n")).toContain("what was written in the last 61 minutes is lost");
    expect(said.join("\n")).toContain("npm run restore -- test --undo brings it back");
    expect(asked).toEqual(["overwrite the data of test?"]);
    expect(calls).toEqual([
      ["plan", "--only", "n8n"],
      ["restore", "--set", ID, "--only", "n8n"],
    ]);
    expect(text).toContain(`restored the set ${SHORT} in 20 s; what writes to it stood still for 12.5 s`);
    expect(await history()).toEqual([`restore: jeu ${SHORT} : n8n 3 workflows ; arrêt de 12.5 s`]);
  });

  it("changes nothing without a yes", async () => {
    agrees = false;

    expect(await restoreStack(request(), world())).toEqual({ text: "nothing was changed", exitCode: 1 });
    expect(calls.map(([command]) => command)).toEqual(["plan"]);
  });

  it("asks before it takes a restore back, too", async () => {
    await restoreStack(request({ undo: true }), world());

    expect(asked[0]).toContain("lose what was written since");
    expect(calls).toEqual([["undo"]]);
    expect((await history())[0]).toContain("restauration annulée");
  });

  it("waits for nobody: it refuses while somebody deploys", async () => {
    await takeLock(local, {
      ...world(),
      stack: "test",
      identity: { who: "bob@desk", run: "", process: 2 },
      why: "deploy",
    });

    await expect(restoreStack(request({ yes: true }), world())).rejects.toThrow(
      "expected no deployment under way",
    );
    expect(calls.map(([command]) => command)).toEqual(["plan"]);
  });

  it("releases the lock when the restore fails", async () => {
    answers["restore"] = new UserError("could not restore the set: no space");

    await expect(restoreStack(request({ yes: true }), world())).rejects.toThrow("no space");
    answers["restore"] = restored;
    expect((await restoreStack(request({ yes: true }), world())).exitCode).toBe(0);
  });
});

describe("npm run backups -- --undelete", () => {
  it("needs the administrator's key, which it never shows", async () => {
    variables = { BACKUP_ADMINISTRATOR_KEY: "canary" };

    await expect(undeleteSets({ stack: "test", until: undefined, yes: true }, world())).rejects.toThrow(
      /^(?!.*canary)BACKUP_ADMINISTRATOR_KEY: expected .*, got something else/,
    );
  });

  it("says when there was nothing to bring back", async () => {
    variables = { BACKUP_ADMINISTRATOR_KEY: "admin0:secret" };
    stored = "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>";
    const { text } = await undeleteSets({ stack: "test", until: undefined, yes: true }, world());

    expect(text).toMatch(
      /^nothing was deleted or written over; what somebody has added goes with --as-of <time>/,
    );
    expect(fetched[0]?.headers.get("authorization")).toContain("Credential=admin0/");
  });
});

describe("the key in the state", () => {
  it("reads the sets where the program made the bucket", async () => {
    const { readPlace } = await import("../../../ops/backup/read-back.ts");
    const environment = environmentWith({ backup: { project: "0".repeat(32), region: "RBX" } });
    const sealed = { [MARKED]: "1b47061264138c4ac30d75fd1eb44270", plaintext: '"hush"' };
    const resource = {
      urn: "urn:pulumi:test::technicia::ovh:CloudProject/s3Credential:S3Credential::backup-storage-reader-key",
      type: "x",
      outputs: { accessKeyId: "id", secretAccessKey: sealed },
    };
    const { pulumi, calls: run } = fakePulumi(() => ({
      stdout: JSON.stringify({ deployment: { resources: [resource] } }),
    }));

    expect(await readPlace({ environment, secrets: {} }, pulumi)).toEqual({
      bucket: {
        address: "https://s3.rbx.io.cloud.ovh.net",
        region: "rbx",
        bucket: "technicia-backup-test-000000000000",
      },
      prefix: "test",
      key: { accessKeyId: "id", secretAccessKey: "hush" },
    });
    expect(run).toEqual([["stack", "export", "--stack", "test", "--show-secrets"]]);
  });
});

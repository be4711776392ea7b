import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { shellQuote } from "../../common/shell-quote.ts";
import { callProgram, listedSets, overview } from "../../ops/backup/program.ts";
import { KEPT } from "../../ops/backup/prune.ts";
import type { ServerCommand } from "../../ops/server/connection.ts";
import { expectEverythingOn, HOME, loseDataOf, pointsOf } from "../support/backup-data.ts";
import { PASSWORD, POINTS, startBackupHost, type BackupHost } from "../support/backup-host.ts";

interface Item {
  readonly at: string;
  readonly counts: Readonly<Record<string, number>>;
}

interface Made {
  readonly id: string;
  readonly warnings: readonly string[];
  readonly manifest: {
    readonly release: { readonly number: number };
    readonly items: Readonly<Record<"qdrant" | "n8n" | "certificates" | "records", Item>>;
    readonly indexedSince: Readonly<Record<string, number>>;
  };
}

interface Drilled {
  readonly set: string;
  readonly passed: boolean;
  readonly findings: readonly string[];
}

let host: BackupHost;
let first: Made;

beforeAll(async () => {
  host = await startBackupHost();
  first = await host.backup<Made>("make");
});
afterAll(() => host.stop());

const points = () => pointsOf(host);
const workflows = async () => (await host.sql("select count(*) from workflow_entity"))[0];
const sets = async () => (await host.backup<{ id: string }[]>("list")).map(({ id }) => id);
const isRunning = (service: string) =>
  host.exec(
    `docker ps --quiet --filter health=healthy --filter label=com.docker.swarm.service.name=${service}`,
  );

const loseData = () => loseDataOf(host);
const expectEverything = () => expectEverythingOn(host);

describe("a set", () => {
  it("holds the data of every service, the certificates and the records", () => {
    expect(first.manifest.items.qdrant.counts).toEqual({ technicia: POINTS });
    expect(first.manifest.items.n8n.counts).toMatchObject({ workflows: 3, credentials: 1, users: 1 });
    expect(first.manifest.items.certificates.counts).toEqual({ certificates: 1 });
    expect(first.manifest.items.records.counts).toEqual({ releases: 1, events: 1, workflows: 1 });
    expect(first.manifest.release.number).toBe(7);
    expect(first.warnings).toEqual([]);
  });

  it("takes Qdrant before n8n, and names the collections that others wrote to meanwhile", async () => {
    const { items } = first.manifest;
    expect(items.qdrant.at <= items.n8n.at).toBe(true);
    await host.qdrant("PUT", "/collections/technicia/points?wait=true", {
      points: [{ id: POINTS, vector: Array(32).fill(0.5), payload: {} }],
    });

    const { manifest } = await host.backup<Made>("make");
    await host.qdrant("POST", "/collections/technicia/points/delete?wait=true", { points: [POINTS] });

    expect(manifest.items.qdrant).toEqual(items.qdrant);
    expect(manifest.indexedSince).toEqual({ technicia: POINTS + 1 });
  });

  it("holds a row that was committed just before, although n8n's database file does not have it yet", async () => {
    await host.sql("insert into variables (id, key, type, value) values ('1', 'last', 'string', 'row')");
    // Frames that a checkpoint has moved into the database: https://www.sqlite.org/walformat.html
    const moved = `od --address-radix none --format u4 --skip-bytes 96 --read-bytes 4 ${HOME}/database.sqlite-shm`;
    const before = await host.exec(moved);
    await host.backup("make");

    const log = await host.exec(`stat --format %s ${HOME}/database.sqlite-wal`);
    const copied = await host.exec(`python3 -c "
import sqlite3
print(sqlite3.connect('/var/lib/technicia/backup/staging/n8n/database.sqlite').execute('select value from variables').fetchone()[0])"`);

    expect(Number(log)).toBeGreaterThan(0);
    expect(await host.exec(moved)).toBe(before);
    expect(copied.trim()).toBe("row");
  });

  it("does not hold n8n's encryption key, which n8n writes into its own settings file", async () => {
    expect(await host.exec(`cat ${HOME}/config`)).toContain("encryptionKey");
    expect(await host.exec("cat /var/lib/technicia/backup/staging/n8n/config")).toBe("{}\n");
    expect(
      await host.tryExec(
        "grep --recursive --files-with-matches 0123456789abcdef0123456789abcdef /var/lib/technicia",
      ),
    ).toMatchObject({ code: 1 });
  });

  it("is made one at a time, whatever starts it", async () => {
    const before = await sets();
    await host.exec(
      "/opt/technicia/backup/main.py make >/dev/null 2>&1 & /opt/technicia/backup/main.py make >/dev/null 2>&1; wait",
    );

    expect(await sets()).toHaveLength(before.length + 2);
  });

  it("is made without a secret on a command line or in an environment", async () => {
    const { secretAccessKey } = host.storage.keys.writer;
    // A pattern on the command line of grep would be found there.
    const seen = await host.exec(`printf '%s\\n' ${PASSWORD} ${secretAccessKey} > /root/canaries
/opt/technicia/backup/main.py make >/dev/null 2>&1 & program=$!
looks=0
while kill -0 "$program" 2>/dev/null; do
  looks=$((looks + 1))
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep --fixed-strings --file /root/canaries || true
done
wait "$program"
[ "$looks" -gt 5 ]`);

    expect(seen).toBe("");
  });

  it("is not made of an n8n that nobody has set up, and of one that has lost everything only on demand", async () => {
    const before = await sets();
    await host.exec(`cp ${HOME}/database.sqlite* /root/`);
    await host.sql("update user set email = email");
    await host.exec(
      'sed -i \'s/"workflows": 3/"workflows": 3, "projects": 9/\' /var/lib/technicia/backup/status.json',
    );

    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toContain(
      "n8n, projects: expected about 9, as in the set before, got 0; nothing was stored. If this is right, type npm run backup -- prod --accept-smaller",
    );
    expect(await sets()).toEqual(before);
    expect((await host.backup<Made>("make --accept-smaller")).warnings).toEqual([
      "n8n, projects: expected about 9, as in the set before, got 0",
    ]);
  });

  it("names what has become much smaller", async () => {
    await host.exec(
      'sed -i \'s/"credentials": 1,/"credentials": 9,/\' /var/lib/technicia/backup/status.json',
    );

    expect((await host.backup<Made>("make")).warnings).toEqual([
      "n8n, credentials: expected about 9, as in the set before, got 1",
    ]);
  });
});

describe("the operator's commands", () => {
  it("run the program as a unit of its own, which outlives the connection, and read its answer", async () => {
    const server = {
      name: "server",
      run: async ({ script, variables = {} }: ServerCommand) => {
        const given = Object.entries(variables).map(([name, value]) => `${name}=${shellQuote(value)}`);
        return { stdout: await host.exec([...given, script].join("\n")), stderr: "" };
      },
    };
    const call = { purpose: "list the sets", timeoutSeconds: 300, say: () => undefined };
    const found = await callProgram(server, { ...call, words: ["list"], answer: listedSets });

    expect(found.map(({ id }) => id)).toEqual(await sets());
    const words = [
      "overview",
      ...Object.entries(KEPT).flatMap(([unit, time]) => ["--keep", `${unit}=${time}`]),
    ];
    const whole = await callProgram(server, { ...call, words, answer: overview });
    expect(whole.sets.map(({ id }) => id)).toEqual(await sets());
    expect(whole.stored).toBeGreaterThan(0);
    await expect(
      callProgram(server, { ...call, words: ["show", "ffffffff"], answer: listedSets }),
    ).rejects.toThrow("expected a set of the repository, got ffffffff");
    expect(
      await host.exec("systemctl list-units --all --plain --no-legend 'technicia-backup-command*'"),
    ).toBe("");
  });
});

describe("a failure", () => {
  it.each([
    [
      "the password",
      "printf wrong > /etc/technicia/backup/password",
      "the password is not the repository's: technicia:backupPassword",
    ],
    [
      "the key",
      "sed -i 's/secret_access_key = .*/secret_access_key = wrong/' /etc/technicia/backup/writer",
      "look at the key, the bucket and the region",
    ],
  ])("of %s makes no set and says what to look at", async (_what, damage, expected) => {
    await host.exec(
      `cp --archive /etc/technicia/backup /root/keys; chmod 0600 /etc/technicia/backup/*; ${damage}`,
    );
    const { code, stderr } = await host.tryBackup("make");
    await host.exec("rm --recursive /etc/technicia/backup; mv /root/keys /etc/technicia/backup");

    expect(code).toBe(1);
    expect(stderr).toContain(expected);
    expect(stderr).not.toContain(host.storage.keys.writer.secretAccessKey);
  });

  it("of a repository that is gone makes no new one in its place", async () => {
    const { address, bucket } = host.storage;
    await host.configure({ repository: `s3:${address}/${bucket}/prod/elsewhere` });
    const { code, stderr } = await host.tryBackup("make");
    await host.configure();

    expect(code).toBe(1);
    expect(stderr).toContain("--undelete");
    expect((await host.tryExec("true")).code).toBe(0);
  });

  it("is kept for whoever looks at the status", async () => {
    await host.exec("mv /etc/technicia/backup/password /root/password");
    const { stderr } = await host.tryBackup("make");
    await host.exec("mv /root/password /etc/technicia/backup/password");
    const { failure } = await host.backup<{ failure: { command: string; text: string } }>("status");

    expect(failure.command).toBe("make");
    expect(stderr).toContain(failure.text);
  });
});

describe("a rehearsal", () => {
  it("restores the newest set into containers of its own, and leaves nothing", async () => {
    const before = await host.containers();

    const drilled = await host.backup<Drilled>("drill");

    expect(drilled).toMatchObject({ passed: true, findings: [], set: (await sets())[0] });
    expect(await host.containers()).toBe(before);
    expect(await host.exec("cat /var/lib/technicia/metrics/backup.prom")).toMatch(
      /^technicia_backup_last_success_timestamp_seconds \d{10}$[^]*^technicia_drill_last_success_timestamp_seconds \d{10}$/m,
    );
  });

  it("does nothing by the timer while the last one is young", async () => {
    expect(await host.tryBackup("drill --when-due")).toMatchObject({ code: 0, stdout: "" });
  });

  it("starts nothing without free memory, and leaves nothing", async () => {
    const before = await host.containers();
    await host.configure({ drillMemoryMib: 10_000_000 });
    const { code, stderr } = await host.tryBackup("drill");
    await host.configure();

    expect(code).toBe(1);
    expect(stderr).toContain("expected 10000000 MiB of free memory for the drill, got");
    expect(await host.containers()).toBe(before);
  });
});

describe("a restore", () => {
  it("shows first what it would overwrite", async () => {
    await loseData();

    const plan = await host.backup<{ items: Readonly<Record<string, { now: object; then: object }>> }>(
      "plan",
    );

    expect(plan.items["n8n"]).toMatchObject({ now: { workflows: 2 }, then: { workflows: 3 } });
    expect(plan.items["qdrant"]?.then).toEqual({ technicia: POINTS });
  });

  it("brings everything back into the running services, aliases and indexes too, and plays no old log back", async () => {
    // While somebody else has the database open, n8n leaves its write-ahead log behind when it stops.
    await host.exec(`systemd-run --quiet --unit reader python3 -c "
import sqlite3, time
connection = sqlite3.connect('file:${HOME}/database.sqlite?mode=ro', uri=True)
connection.execute('select count(*) from workflow_entity').fetchone()
open('/root/opened', 'w')
time.sleep(600)"
until [ -e /root/opened ]; do sleep 0.1; done`);
    await host.sql("update workflow_entity set name = 'of the log' where name = 'one'");
    const { counts } = await host.backup<{ counts: object }>("restore");
    const logs = await host.exec(`find ${HOME}/.technicia-replaced -name 'database.sqlite-wal' -size +0`);
    await host.exec("systemctl stop reader");

    expect(logs).not.toBe("");
    expect((await host.sql("select count(*) from workflow_entity where name = 'of the log'"))[0]).toBe(0);
    expect(counts).toMatchObject({ qdrant: { technicia: POINTS }, n8n: { workflows: 3 } });
    await expectEverything();
    expect(await isRunning("technicia-n8n")).not.toBe("");
  });

  it("is taken back with every row of the database that it replaced, also those in its write-ahead log", async () => {
    await host.backup("undo");

    expect(await workflows()).toBe(2);
    expect(await points()).toBeLessThan(POINTS);
    expect((await host.sql("select count(*) from credentials_entity"))[0]).toBe(1);
    await host.backup("undo");
    await expectEverything();
  });

  it("of one part leaves the others as they are", async () => {
    await loseData();
    const started = await host.exec(
      "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-qdrant",
    );

    await host.backup("restore --only n8n");

    expect(await workflows()).toBe(3);
    expect(await points()).toBeLessThan(POINTS);
    expect(
      await host.exec("docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-qdrant"),
    ).toBe(started);
    await host.backup("restore");
    await expectEverything();
  });

  it.each([
    [
      "another encryption key",
      { keyFingerprint: "f".repeat(64) },
      "technicia:n8nEncryptionKey: expected the key that the set was made with",
    ],
    [
      "another kind of database",
      { database: "postgres" },
      "technicia:services.n8n.database: expected sqlite, which the set holds, got postgres",
    ],
    ["another environment", { stack: "staging" }, "expected one of staging, got one of prod"],
  ])("with %s is refused before anything is overwritten", async (_what, changes, expected) => {
    const before = await host.exec(`stat --format %i ${HOME}/database.sqlite`);
    await host.configure(changes);
    const { code, stderr } = await host.tryBackup("restore");
    await host.configure();

    expect(code).toBe(1);
    expect(stderr).toContain(expected);
    expect(await host.exec(`stat --format %i ${HOME}/database.sqlite`)).toBe(before);
    expect(await isRunning("technicia-n8n")).not.toBe("");
  });

  it("forgets what it replaced when it is told to", async () => {
    await host.backup("forget");

    expect(await host.exec(`ls --almost-all ${HOME} /var/lib/technicia/backup`)).not.toMatch(
      /technicia-replaced|kept/,
    );
    expect((await host.tryBackup("undo")).stderr).toContain(
      "expected a restore to take back, got none since the last deployment",
    );
  });
});

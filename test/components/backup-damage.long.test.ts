import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { expectEverythingOn, HOME, loseDataOf, pointsOf } from "../support/backup-data.ts";
import { POINTS, startBackupHost, type BackupHost } from "../support/backup-host.ts";

interface Made {
  readonly warnings: readonly string[];
  readonly manifest: { readonly items: Readonly<Record<"qdrant", { readonly at: string }>> };
}

interface Plan {
  readonly minutesLost: number;
  readonly items: Readonly<Record<string, { readonly at: string; readonly now: object }>>;
}

let host: BackupHost;

beforeAll(async () => {
  host = await startBackupHost();
  await host.backup("make");
});
afterAll(() => host.stop());

const workflows = async () => (await host.sql("select count(*) from workflow_entity"))[0];
const STATUS = "/var/lib/technicia/backup/status.json";

describe("an n8n whose database is damaged", () => {
  it("makes no set, and says how the last one comes back", async () => {
    await host.exec(`python3 - <<'P'
with open("${HOME}/database.sqlite", "r+b") as file:
    file.write(b"no database" * 400)
P`);

    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toMatch(
      /n8n: expected a database without damage, got .*npm run restore -- prod --only n8n/,
    );
    expect(stderr).not.toContain("Traceback");
  });

  it("is shown as not counted, and restored", async () => {
    expect((await host.backup<Plan>("plan")).items["n8n"]?.now).toEqual({});

    await host.backup("restore --only n8n");

    expect(await workflows()).toBe(3);
    await expectEverythingOn(host);
  });

  it("is not brought back by an undo, which could not end", async () => {
    const { code, stderr } = await host.tryBackup("undo");

    expect(code).toBe(1);
    expect(stderr).toContain(
      "technicia-n8n: expected something to bring back, got data that could not be read",
    );
    await expectEverythingOn(host);
    await host.backup("forget");
  });
});

describe("a Qdrant that does not start", () => {
  it("keeps no set of n8n from being made: its last snapshots are carried on, whatever was asked for", async () => {
    await host.exec(`docker service update --quiet --detach=false --entrypoint /bin/false technicia-qdrant >/dev/null 2>&1 &
until [ -z "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-qdrant --filter health=healthy)" ]; do sleep 0.5; done`);

    const { warnings, manifest } = await host.backup<Made>("make --qdrant");

    expect(warnings).toEqual([
      `qdrant: does not answer; its snapshots of ${manifest.items.qdrant.at} are carried on`,
    ]);
  });

  it("is restored on an empty folder once it can start", async () => {
    const storage = "/var/lib/docker/volumes/technicia-qdrant-storage/_data";
    await host.exec(`docker service update --quiet --detach --replicas 0 --entrypoint ./qdrant technicia-qdrant
until [ -z "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-qdrant)" ]; do sleep 0.5; done
find ${storage} -type f -exec sh -c 'for file; do head --bytes 64 /dev/urandom > "$file"; done' - {} +`);

    await host.backup("restore --only qdrant");

    expect(await pointsOf(host)).toBe(POINTS);
    await expectEverythingOn(host);
    await host.backup("forget");
  });
});

describe("a server that has made no set of its own", () => {
  it("does not put an empty one before those in the storage", async () => {
    await host.exec(`mv ${STATUS} /root/status.json`);
    await host.sql("delete from workflow_entity");

    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toContain(
      "n8n, workflows: expected about 3, as in the set before, got 0; nothing was stored. If this is right, type npm run backup -- prod --accept-smaller",
    );
    await host.backup("restore --only n8n");
    await host.backup("make");
    await host.exec("rm /root/status.json");
  });
});

describe("what is lost", () => {
  it("counts from the oldest part that comes back", async () => {
    const { minutesLost, items } = await host.backup<Plan>("plan");
    const oldest = Math.min(...Object.values(items).map(({ at }) => Date.parse(at)));

    expect(minutesLost).toBeGreaterThanOrEqual(Math.floor((Date.now() - oldest) / 60_000) - 1);
  });
});

describe("several restores", () => {
  it("are taken back one after the other, the last one first", async () => {
    await loseDataOf(host);
    await host.backup("restore --only qdrant");
    await host.backup("restore --only n8n");
    expect([await workflows(), await pointsOf(host)]).toEqual([3, POINTS]);

    await host.backup("undo");
    expect(await workflows()).toBe(2);
    expect(await pointsOf(host)).toBe(POINTS);
    await host.backup("undo");
    expect(await workflows()).toBe(2);
    expect(await pointsOf(host)).toBeLessThan(POINTS);

    await host.backup("restore");
    await expectEverythingOn(host);
    await host.backup("forget");
  });
});

describe("a restore that cannot keep what it replaces", () => {
  it("goes on when it is told to keep nothing", async () => {
    await loseDataOf(host);
    await host.exec(
      "rm --recursive --force /var/lib/technicia/backup/kept; touch /var/lib/technicia/backup/kept",
    );
    expect((await host.tryBackup("restore --only qdrant")).code).toBe(1);

    await host.backup("restore --only qdrant --keep-nothing");

    expect(await pointsOf(host)).toBe(POINTS);
    await host.exec("rm /var/lib/technicia/backup/kept");
    await host.backup("restore");
  });

  it("leaves nothing of what it had fetched when it is refused", async () => {
    await host.exec(
      "mv /etc/technicia/backup/reader /root/reader; sed 's/secret_access_key = .*/secret_access_key = wrong/' /root/reader > /etc/technicia/backup/reader",
    );
    expect((await host.tryBackup("restore")).code).toBe(1);
    await host.exec("mv /root/reader /etc/technicia/backup/reader");

    expect(await host.exec(`ls --almost-all ${HOME} /var/lib/technicia/backup`)).not.toMatch(
      /fetched|incoming/,
    );
  });
});

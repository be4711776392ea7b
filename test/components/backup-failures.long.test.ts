/** What the program of backups does when its storage, its disk or its clock does not do what it should. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { callStorage } from "../../common/object-storage.ts";
import { bringBack } from "../../ops/backup/undelete.ts";
import { startBackupHost, type BackupHost } from "../support/backup-host.ts";
import { versionsOf } from "../support/backup-storage.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";

interface Made {
  readonly id: string;
  readonly took: number;
}

let host: BackupHost;
let proxy: FaultProxy;
let through: string;

beforeAll(async () => {
  host = await startBackupHost();
  proxy = await startFaultProxy(host.storage.address);
  const gateway = (await host.exec("ip -4 route show default | awk '{ print $3 }'")).trim();
  through = `s3:http://${gateway}:${proxy.port}/${host.storage.bucket}/prod`;
  await host.configure({ repository: through });
  await host.backup<Made>("make");
});
afterAll(async () => {
  await proxy.stop();
  await host.stop();
});
afterEach(async () => {
  proxy.become(() => "pass");
  await host.configure({ repository: through });
});

const sets = async () => (await host.backup<{ id: string }[]>("list")).map(({ id }) => id);

/** Bash of somebody who has the password and the writer's key; `$set` is a folder, in restic `/set`. */
const RESTIC = `
set=$(mktemp --directory)
restic() { docker run --rm --network host --volume /etc/technicia/backup:/run/keys:ro --volume "$set:/set" --env AWS_SHARED_CREDENTIALS_FILE=/run/keys/writer \
  --env AWS_DEFAULT_REGION=rbx "$(jq --raw-output .restic /etc/technicia/backup.json)" --no-cache \
  --repo "$(jq --raw-output .repository /etc/technicia/backup.json)" --password-file /run/keys/password "$@"; }`;
const restic = (words: string) => host.exec(`${RESTIC}\nrestic ${words}`);

/** A failed run leaves nothing that runs, and the next one makes a set and keeps those before. */
async function expectNextIsGood(before: readonly string[]): Promise<void> {
  proxy.become(() => "pass");
  expect(await host.exec("docker ps --all --quiet --filter label=technicia.backup=1")).toBe("");
  const { id } = await host.backup<Made>("make");
  expect((await sets()).toSorted()).toEqual([id, ...before].toSorted());
}

describe("a storage", () => {
  const refuse = (status: number, code: string) => (): Fault => ({ status, code });

  it.each([
    ["refuses (403)", refuse(403, "AccessDenied"), /look at the key, the bucket and the region/],
    [
      "does not know the bucket (404)",
      refuse(404, "NoSuchBucket"),
      /check that the bucket is there.*--undelete/,
    ],
  ])("that %s makes no set, and is named", async (_what, decide, expected) => {
    const before = await sets();
    proxy.become(decide);
    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toMatch(expected);
    expect(stderr).not.toContain(host.storage.keys.writer.secretAccessKey);
    await expectNextIsGood(before);
  });

  it.each<[string, (method: string, path: string, count: number) => Fault]>([
    [
      "answers every third request with 500",
      (_method, _path, count) => (count % 3 === 0 ? { status: 500, code: "InternalError" } : "pass"),
    ],
    [
      "answers the first writes with 503",
      (method, _path, count) => (method === "PUT" && count < 8 ? { status: 503, code: "SlowDown" } : "pass"),
    ],
    [
      "answers a write with 409",
      (method, _path, count) =>
        method === "PUT" && count < 6 ? { status: 409, code: "OperationAborted" } : "pass",
    ],
    ["drops every fourth connection", (_method, _path, count) => (count % 4 === 0 ? "drop" : "pass")],
    ["answers each request half a second late", () => ({ late: 500 })],
  ])("that %s gets the set all the same", async (_what, decide) => {
    const before = await sets();
    proxy.become(decide);
    const { id } = await host.backup<Made>("make");

    expect(proxy.seen()).toBeGreaterThan(5);
    proxy.become(() => "pass");
    expect(await sets()).toEqual([id, ...before]);
  });

  it("that loses a set between the writing and the reading back is found out", async () => {
    const before = await sets();
    proxy.become((method, path) =>
      method === "GET" && path.includes("/snapshots/") ? { status: 404, code: "NoSuchKey" } : "pass",
    );
    const { code } = await host.tryBackup("make");

    expect(code).toBe(1);
    proxy.become(() => "pass");
    expect((await sets()).length).toBe(before.length + 1);
    const { failure } = await host.backup<{ failure: { command: string } }>("status");
    expect(failure.command).toBe("make");
  });
});

describe("a bucket that is full", () => {
  // As Ceph says it, and as others do.
  it.each<[string, Fault]>([
    ["403 QuotaExceeded", { status: 403, code: "QuotaExceeded", message: "" }],
    ["507 Insufficient Storage", { status: 507, code: "InsufficientStorage", message: "" }],
  ])("(%s) makes no set, is named at once, and leaves what is there as it was", async (_what, fault) => {
    const before = await sets();
    await host.sql("update user set lastName = lower(hex(randomblob(64)))");
    proxy.become((method, path) => (method === "PUT" && path.includes("/data/") ? fault : "pass"));
    const began = Date.now();
    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toContain(
      "store the set: the bucket is full: raise its quota, or remove old sets with npm run backups -- prod --prune",
    );
    // restic alone would try for a quarter of an hour.
    expect(Date.now() - began).toBeLessThan(5 * 60_000);
    await expectNextIsGood(before);
  });
});

describe("a clock that is wrong by an hour", () => {
  it("is named when the storage refuses it, and makes no set", async () => {
    const before = await sets();
    proxy.become(() => ({
      status: 403,
      code: "RequestTimeTooSkewed",
      message: "The difference between the request time and the current time is too large.",
    }));
    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toMatch(
      /the server's clock is wrong, here it is \d{4}-\d\d-\d\d \d\d:\d\d UTC: set it right/,
    );
    await expectNextIsGood(before);
  });

  it("leaves a set of a time that has not come, which is not taken for the newest", async () => {
    const { id } = await host.backup<Made>("make");
    await restic(
      `backup --quiet --host prod --tag wrong --time "$(date --utc --date '+1 hour' '+%F %T')" /set`,
    );
    const [wrong] = await sets();

    const shown = await host.tryBackup("plan");

    expect(wrong).not.toBe(id);
    expect(JSON.parse(shown.stdout)).toMatchObject({ id });
    expect(shown.stderr).toContain(
      `not taken for the newest: ${wrong?.slice(0, 8)}, of a time that has not come yet`,
    );
  });

  it("does not keep a rehearsal from being due, nor carry Qdrant's snapshots on", async () => {
    await host.exec(
      `cd /var/lib/technicia/backup; cp status.json /root/; at="$(date --utc --date '+1 hour' +%FT%TZ)"
       jq --arg at "$at" '.drills = [{ set: "x", passed: true, at: $at, took: 1 }] | .manifest.items.qdrant.at = $at' /root/status.json > status.json`,
    );
    const due = await host.exec(
      `cd /opt/technicia/backup; python3 -B -c 'import drill; print(drill.is_due())'`,
    );
    const { manifest } = await host.backup<{ manifest: { items: { qdrant: { at: string } } } }>("make");

    expect(due.trim()).toBe("True");
    expect(Date.parse(manifest.items.qdrant.at)).toBeLessThan(Date.now() + 60_000);
  });
});

describe("a repository that somebody has deleted", () => {
  const administrator = () => host.storage.as(host.storage.keys.administrator);
  const remove = (object: string, version?: string) =>
    callStorage(
      {
        ...{ method: "DELETE", object, headers: { "x-amz-bypass-governance-retention": "true" } },
        ...(version !== undefined && { query: { versionId: version } }),
      },
      administrator(),
    );
  const versions = async (pattern: RegExp) =>
    (await versionsOf(host.storage)).filter(({ object }) => pattern.test(object));

  // A new server knows of no set.
  beforeEach(async () => {
    await host.exec("mv /var/lib/technicia/backup/status.json /root/status.json");
    return () => host.exec("mv /root/status.json /var/lib/technicia/backup/status.json");
  });

  it.each([
    ["its configuration", /^prod\/config$/],
    ["everything", /^prod\/(?!locks)/],
  ])("(%s) is not begun anew by a new server, which names the way back", async (_what, pattern) => {
    const before = await versions(pattern);
    for (const object of new Set(before.map((one) => one.object))) await remove(object);
    const { code, stderr } = await host.tryBackup("make");
    const written = (await versions(pattern)).filter(({ isDeleteMarker }) => !isDeleteMarker);
    await bringBack("prod", administrator());

    expect(code).toBe(1);
    expect(stderr).toContain("got sets without a repository: somebody deleted its objects");
    expect(stderr).toContain("npm run backups -- prod --undelete");
    expect(written).toEqual(before.map((one) => ({ ...one, isLatest: false })));
    await host.backup<Made>("make");
  });

  it("is told from a first run that was killed", async () => {
    await host.configure({ repository: `${through}/other` });
    await host.backup<Made>("make");
    for (const { object, version } of await versions(/^prod\/other\/(config|snapshots)/))
      await remove(object, version);
    await host.exec("rm /var/lib/technicia/backup/status.json");
    const { code, stderr } = await host.tryBackup("make");

    expect(code).toBe(1);
    expect(stderr).toContain("got keys without a repository, as a first run leaves them that was killed");
  });
});

describe("a disk", () => {
  it("without room for the set is named with what is missing, and no service stops", async () => {
    const before = await sets();
    await host.exec("mount -t tmpfs -o size=200m tmpfs /var/lib/technicia/backup/staging");
    const { code, stderr } = await host.tryBackup("make --qdrant");
    await host.exec("umount /var/lib/technicia/backup/staging");

    expect(code).toBe(1);
    expect(stderr).toMatch(
      /expected \d+ MiB of free space for .*, got \d+ MiB; make room and run this again/,
    );
    await expectNextIsGood(before);
  });

  it("without room for what a restore fetches is named before any service stops", async () => {
    const started = await host.exec(
      "docker ps --filter label=com.docker.swarm.service.name --format '{{.ID}}' | sort",
    );
    await host.exec("mount -t tmpfs -o size=257m tmpfs /var/lib/technicia/backup");
    const { code, stderr } = await host.tryBackup("restore");
    await host.exec("umount /var/lib/technicia/backup");

    expect(code).toBe(1);
    expect(stderr).toMatch(/MiB of free space/);
    expect(
      await host.exec("docker ps --filter label=com.docker.swarm.service.name --format '{{.ID}}' | sort"),
    ).toBe(started);
  });
});

describe("a set", () => {
  it("whose manifest somebody has edited is refused before a service stops", async () => {
    const { id: newest } = await host.backup<Made>("make");
    // Whoever has the password can write such a set.
    await host.exec(`${RESTIC}
      restic restore --quiet ${newest}:/set --target /set
      jq '.items.n8n.sha256 = "${"0".repeat(64)}"' "$set/manifest.json" > "$set/manifest.new"; mv "$set/manifest.new" "$set/manifest.json"
      restic backup --quiet --host prod --tag edited /set`);
    const { code, stderr } = await host.tryBackup("restore");

    expect(code).toBe(1);
    expect(stderr).toMatch(/n8n: .*(manifest|sha256|names)/);
    expect(await host.exec("test -e /var/lib/technicia/backup/restore.json && echo journal || true")).toBe(
      "",
    );
    expect(
      await host.exec(
        "docker ps --quiet --filter health=healthy --filter label=com.docker.swarm.service.name=technicia-n8n",
      ),
    ).not.toBe("");
  });
});

/** What the program of backups does when its storage, its disk or its clock does not do what it should. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { startBackupHost, type BackupHost } from "../support/backup-host.ts";
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

/** A failed run leaves nothing that runs, and the next one makes a set and keeps those before. */
async function expectNextIsGood(before: readonly string[]): Promise<void> {
  proxy.become(() => "pass");
  expect(await host.exec("docker ps --all --quiet --filter label=technicia.backup=1")).toBe("");
  const { id } = await host.backup<Made>("make");
  expect(await sets()).toEqual([id, ...before]);
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
    const [newest = ""] = await sets();
    // Whoever has the password can write such a set.
    await host.exec(`
      set=$(mktemp --directory)
      restic() { docker run --rm --network host --volume /etc/technicia/backup:/run/keys:ro --volume "$set:/set" --env AWS_SHARED_CREDENTIALS_FILE=/run/keys/writer \
        --env AWS_DEFAULT_REGION=${host.storage.region} "$(jq --raw-output .restic /etc/technicia/backup.json)" --no-cache \
        --repo "$(jq --raw-output .repository /etc/technicia/backup.json)" --password-file /run/keys/password "$@"; }
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

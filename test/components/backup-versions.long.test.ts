import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { killedOn, pointsOf } from "../support/backup-data.ts";
import { POINTS, startBackupHost, type BackupHost } from "../support/backup-host.ts";

/** Kills at random moments, spread over all that a rollback takes. */
const KILLS = 8;

const N8N = { old: "n8nio/n8n:2.3.6", next: "n8nio/n8n:2.4.0" };
const QDRANT = { old: "qdrant/qdrant:v1.19.0", next: "qdrant/qdrant:v1.20.0" };

interface Result {
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

let host: BackupHost;
let set: string;

beforeAll(async () => {
  host = await startBackupHost();
  await host.exec(`
image_of() { docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' "$1"; }
for tag in ${N8N.old} ${N8N.next}; do docker tag "$(image_of technicia-n8n)" "$tag"; done
docker tag "$(image_of technicia-qdrant)" ${QDRANT.old}
docker create --name next ${QDRANT.old} >/dev/null
docker commit --change 'ENV QDRANT_VERSION=1.20.0' next ${QDRANT.next} >/dev/null
docker rm next >/dev/null`);
  await run({ n8n: N8N.old, qdrant: QDRANT.old });
  set = (await host.backup<{ id: string }>("make --qdrant --tag release-2")).id;
});
afterAll(() => host.stop());

/** As a release does it: each service in its turn, on the data that is there. */
async function run({ n8n, qdrant }: { readonly n8n: string; readonly qdrant: string }): Promise<void> {
  await host.exec(`docker service update --quiet --no-resolve-image --image ${qdrant} technicia-qdrant >/dev/null
docker service update --quiet --no-resolve-image --image ${n8n} technicia-n8n >/dev/null
until [ "$(docker ps --filter health=healthy --quiet | wc -l)" = 2 ]; do sleep 0.5; done`);
}

/** The later release has run for a while: a point more, a workflow less. */
async function useNext(): Promise<void> {
  await run({ n8n: N8N.next, qdrant: QDRANT.next });
  await host.qdrant("PUT", "/collections/technicia/points?wait=true", {
    points: [{ id: POINTS, vector: Array(32).fill(0.5), payload: {} }],
  });
  await host.qdrant("DELETE", "/collections/technicia/index/type?wait=true");
  await host.sql("delete from workflow_entity where name = 'two'");
}

const rollback = () =>
  `restore --set ${set} --only qdrant --only n8n --command 'npm run rollback -- prod --with-data' --images '${JSON.stringify(
    {
      ...{ "technicia-n8n": N8N.old, "technicia-qdrant": QDRANT.old },
      ...{ "technicia-postgres": "postgres:17.9", "technicia-vector-store": "technicia/vector-store:1.0.0" },
    },
  )}'`;

const images = async () =>
  (
    await host.exec(`docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' technicia-n8n technicia-qdrant
docker ps --filter health=healthy --format '{{.Image}}' | sort`)
  )
    .trim()
    .split("\n");
const running = (n8n: string, qdrant: string) => [n8n, qdrant, n8n, qdrant];
const points = () => pointsOf(host);
const workflows = async () => (await host.sql("select count(*) from workflow_entity"))[0];
const version = async () => (await host.qdrant("GET", "/"))["version"];

async function expectOld(): Promise<void> {
  expect(await images()).toEqual(running(N8N.old, QDRANT.old));
  expect(await version()).toBe("1.19.0");
  expect(await points()).toBe(POINTS);
  expect(await workflows()).toBe(3);
  expect((await host.qdrant("GET", "/collections/technicia"))["result"]).toMatchObject({
    payload_schema: { type: { data_type: "keyword" }, page_number: { data_type: "integer" } },
  });
  expect((await host.qdrant("GET", "/aliases"))["result"]).toEqual({
    aliases: [{ alias_name: "documents", collection_name: "technicia" }],
  });
}

async function expectNext(): Promise<void> {
  expect(await images()).toEqual(running(N8N.next, QDRANT.next));
  expect(await version()).toBe("1.20.0");
  expect(await points()).toBe(POINTS + 1);
  expect(await workflows()).toBe(2);
}

const killed = (words: string, milliseconds: number) => killedOn(host, { words, milliseconds });

describe("a release with later versions, in a Swarm", () => {
  it("goes back with the data of before, indexes and aliases too", async () => {
    await useNext();
    const { counts } = await host.backup<Result>(rollback());

    expect(counts).toMatchObject({ qdrant: { technicia: POINTS }, n8n: { workflows: 3 } });
    await expectOld();
  });

  it("comes again with what it had written", async () => {
    await host.backup("undo");

    await expectNext();
  });

  it("goes back whole, whenever the command is killed and typed again", async () => {
    const began = Date.now();
    await host.backup(rollback());
    const took = Date.now() - began;
    await host.backup("undo");
    for (const moment of Array.from({ length: KILLS }, () => Math.random() * took)) {
      await killed(rollback(), moment);
      const isPending = (await host.tryExec("test -e /var/lib/technicia/backup/restore.json")).code === 0;
      if (isPending)
        expect((await host.tryBackup("make")).stderr).toContain(
          "was interrupted: finish it with npm run rollback -- prod --with-data",
        );
      await host.backup(rollback());
      await expectOld();
      await host.backup("forget");
      await useNext();
    }
    await host.backup(rollback());
    await expectOld();
  }, 3_600_000);
});

describe("Qdrant's next version, in a Swarm", () => {
  it("has every point, index and alias, and the next set is of that version", async () => {
    const { counts } = await host.backup<Result>(
      `upgrade --service technicia-qdrant --image ${QDRANT.next} --set ${set}`,
    );

    expect(counts).toEqual({ qdrant: { technicia: POINTS } });
    expect(await version()).toBe("1.20.0");
    expect(await images()).toEqual(running(N8N.old, QDRANT.next));
    const made = await host.backup<{ manifest: { items: Record<string, { version: string }> } }>("make");
    expect(made.manifest.items["qdrant"]?.version).toBe("1.20.0");
  });

  it("is taken back with all of its data", async () => {
    await host.backup("undo");

    await expectOld();
  });
});

/** The records out of a real set, with the reader's key and restic in Docker on this machine. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { readCopy } from "../../../ops/backup/copied-records.ts";
import { restic, type Repository } from "../../../ops/backup/repository.ts";
import { release } from "../../reports/facts.ts";
import { startStorage, type TestStorage } from "../../support/backup-storage.ts";
import { createNetwork, imageOf, type TestNetwork } from "../../support/containers.ts";

const STACK = "prod";
const signal = new AbortController().signal;
const EVENT = {
  at: "2026-11-22T09:04:00.000Z",
  ...{ who: "Ada <ada@exemple.fr>", action: "deploy", reason: "", detail: "version 1 en service : été" },
};

let network: TestNetwork;
let storage: TestStorage;
let folder: string;
let writer: Repository;
let reader: Repository;

beforeAll(async () => {
  network = await createNetwork();
  storage = await startStorage(network.name, STACK);
  const { address, region, bucket, keys } = storage;
  writer = {
    ...{ bucket: { address, region, bucket }, prefix: STACK, key: keys.writer },
    ...{ image: await imageOf("restic"), password: "the password" },
  };
  reader = { ...writer, key: keys.reader };
  folder = await mkdtemp(join(tmpdir(), "technicia-set-"));
  await restic(writer, { purpose: "prepare the test", words: ["init"], signal });
});
afterAll(async () => {
  await storage.remove();
  await network.remove();
  await rm(folder, { recursive: true, force: true });
});

/** Stores the folder as a set, as the server does. */
async function store(): Promise<void> {
  const { accessKeyId, secretAccessKey } = storage.keys.writer;
  const variables = {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ AWS_DEFAULT_REGION: storage.region, RESTIC_PASSWORD: writer.password },
  };
  const repository = `s3:${storage.address}/${storage.bucket}/${STACK}`;
  await run([
    ...["docker", "run", "--rm", "--network", "host", "--volume", `${folder}:/set:ro`],
    ...Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...[writer.image, "--repo", repository, "backup", "--host", STACK, "/set"],
  ]);
}

it("fails where there is no set yet", async () => {
  await expect(readCopy(reader, { signal })).rejects.toThrow(
    /\/technicia-backup\/prod: expected a set of backups with the records, got none$/,
  );
});

it("gives the releases and the history of the newest set, and says which set that is", async () => {
  const releases = join(folder, "records", "releases");
  await mkdir(releases, { recursive: true });
  await store();
  // More than one block of an archive, and letters of several bytes.
  const ended = release(1, { reason: "é".repeat(2_000) });
  await writeFile(join(releases, "000001.json"), JSON.stringify({ ...ended, outcome: "running" }));
  await writeFile(join(releases, "000001.end.json"), JSON.stringify(ended));
  await writeFile(join(folder, "records", "history.jsonl"), `${JSON.stringify(EVENT)}\n`);
  await store();

  const copy = await readCopy(reader, { signal });

  expect(copy.releases).toEqual([ended]);
  expect(copy.events).toEqual([EVENT]);
  expect(copy.corrupt).toEqual([]);
  expect(copy.set).toMatch(/^[0-9a-f]{64}$/);
  expect(Date.now() - Date.parse(copy.madeAt)).toBeLessThan(240_000);
});

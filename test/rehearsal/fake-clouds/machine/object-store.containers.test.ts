import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  callStorage,
  StorageRefusal,
  type StorageCall,
  type StorageKey,
} from "../../../../common/object-storage.ts";
import { readerPolicy, writerPolicy } from "../../../../common/storage-policies.ts";
import { DockerApi } from "../../../../rehearsal/fake-clouds/machine/docker-api.ts";
import { S3Store } from "../../../../rehearsal/fake-clouds/machine/object-store.ts";
import type { Bucket, StorageUser } from "../../../../rehearsal/fake-clouds/ovh/state.ts";
import { createNetwork, imageOf, type TestNetwork } from "../../../support/containers.ts";
import { until } from "../../../support/until.ts";

const ADMINISTRATOR: StorageKey = {
  accessKeyId: "administrator",
  secretAccessKey: "secret-of-the-administrator",
};
const BUCKET: Bucket = {
  ...{ name: "technicia-backup-prod", region: "RBX", createdAt: "" },
  versioning: { status: "enabled" },
  objectLock: { status: "enabled", rule: { mode: "governance", period: "P30D" } },
  lifecycle: [
    { id: "old-versions", status: "enabled", noncurrentVersionExpiration: { noncurrentDays: 33 } },
    {
      id: "unfinished-uploads",
      status: "enabled",
      abortIncompleteMultipartUpload: { daysAfterInitiation: 3 },
    },
  ],
};
const PLACE = { bucket: BUCKET.name, prefix: "prod" };

let network: TestNetwork;
let folder: string;
let address: string;
let store: S3Store;

beforeAll(async () => {
  network = await createNetwork();
  folder = await mkdtemp(join(tmpdir(), "technicia-store-"));
  const identities = join(folder, "identities.json");
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = ADMINISTRATOR;
  await writeFile(
    identities,
    JSON.stringify({
      identities: [
        { name: "administrator of the store", credentials: [{ accessKey, secretKey }], actions: ["Admin"] },
      ],
    }),
  );
  const ip = await network.start("store", [
    ...[
      "--volume",
      `${folder}:/s3:ro`,
      await imageOf("s3"),
      "weed",
      "server",
      "-dir=/tmp",
      "-ip=127.0.0.1",
      "-ip.bind=127.0.0.1",
    ],
    ...[
      "-master.volumeSizeLimitMB=64",
      "-volume.max=20",
      "-filer",
      "-metricsPort=0",
      "-s3",
      "-s3.port=8333",
      "-s3.ip.bind=0.0.0.0",
    ],
    "-s3.config=/s3/identities.json",
  ]);
  address = `http://${ip}:8333`;
  store = new S3Store({
    ...ADMINISTRATOR,
    docker: new DockerApi(),
    container: `${network.name}-store`,
    address,
    identities,
  });
  await until("the store makes the bucket", () =>
    store.make(BUCKET).then(
      () => true,
      () => false,
    ),
  );
});
afterAll(async () => {
  await network.remove();
  await rm(folder, { recursive: true });
});

const call = (request: StorageCall, key = ADMINISTRATOR) =>
  callStorage(request, {
    address,
    region: "rbx",
    bucket: BUCKET.name,
    key,
    fetch,
    signal: AbortSignal.timeout(30_000),
  });
const refusal = (request: StorageCall, key: StorageKey) =>
  call(request, key).then(
    () => "allowed",
    (error: unknown) => (error instanceof StorageRefusal ? error.code : String(error)),
  );

const userOf = (name: string, policy: object): StorageUser => ({
  ...{ id: 1, username: name, description: name, status: "ok", creationDate: "", roles: [] },
  policy: JSON.stringify(policy),
  keys: [{ access: `key-of-${name}`, secret: `secret-of-${name}` }],
});
const keyOf = (name: string): StorageKey => ({
  accessKeyId: `key-of-${name}`,
  secretAccessKey: `secret-of-${name}`,
});

describe("the store behind the fake OVH", () => {
  it("gives a bucket its versions, lock and lifecycle", async () => {
    const read = async (query: string) => (await call({ method: "GET", query: { [query]: "" } })).text();

    expect(await read("versioning")).toContain("<Status>Enabled</Status>");
    expect(await read("object-lock")).toMatch(/<Mode>GOVERNANCE<\/Mode><Days>30<\/Days>/);
    expect(await read("lifecycle")).toMatch(/<NoncurrentDays>33<\/NoncurrentDays>/);
    await store.change({ ...BUCKET, lifecycle: undefined });
    expect(await refusal({ method: "GET", query: { lifecycle: "" } }, ADMINISTRATOR)).toBe(
      "NoSuchLifecycleConfiguration",
    );
  });

  it("makes a bucket that is there again without harm", async () => {
    await expect(store.make(BUCKET)).resolves.toBeUndefined();
  });

  it("lets users do what their policies say, and nobody whose key is gone", async () => {
    const users = [userOf("writer", writerPolicy(PLACE)), userOf("reader", readerPolicy(PLACE))];
    await store.grant(users);
    const put: StorageCall = { method: "PUT", object: "prod/data/a", body: "x" };
    await until("the writer writes", async () => (await refusal(put, keyOf("writer"))) === "allowed");

    expect(await refusal({ method: "DELETE", object: "prod/data/a" }, keyOf("writer"))).toBe("AccessDenied");
    expect(await refusal({ method: "GET", object: "prod/data/a" }, keyOf("reader"))).toBe("allowed");
    expect(await refusal(put, keyOf("reader"))).toBe("AccessDenied");

    await store.grant(users.slice(1));
    await until(
      "the writer's key is gone",
      async () => (await refusal(put, keyOf("writer"))) === "InvalidAccessKeyId",
    );
  });

  it("does not give up a bucket with objects", async () => {
    expect(await store.remove(BUCKET)).toBe(false);
  });
});

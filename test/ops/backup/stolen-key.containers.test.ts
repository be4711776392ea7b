import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  callStorage,
  StorageRefusal,
  type StorageCall,
  type StorageKey,
} from "../../../common/object-storage.ts";
import { type Ended, tryRun } from "../../../common/run.ts";
import { bringBack } from "../../../ops/backup/undelete.ts";
import { startStorage, type TestStorage, versionsOf } from "../../support/backup-storage.ts";
import { createNetwork, imageOf, type TestNetwork } from "../../support/containers.ts";

const LABEL = "technicia.rehearsal=test";

let network: TestNetwork;
let storage: TestStorage;
let restic: (args: readonly string[], key?: StorageKey, given?: string) => Promise<Ended>;

beforeAll(async () => {
  network = await createNetwork();
  storage = await startStorage(network.name, "prod");
  const image = await imageOf("restic");
  const { address, bucket, region, keys } = storage;
  restic = (args, key = keys.writer, input = "") =>
    tryRun(
      [
        ...["docker", "run", "--rm", "--interactive", "--label", LABEL, "--network", network.name],
        ...[
          "--env",
          `AWS_ACCESS_KEY_ID=${key.accessKeyId}`,
          "--env",
          `AWS_SECRET_ACCESS_KEY=${key.secretAccessKey}`,
        ],
        ...[
          "--env",
          `AWS_DEFAULT_REGION=${region}`,
          "--env",
          "RESTIC_PASSWORD=password",
          "--env",
          "GOMAXPROCS=1",
        ],
        ...["--env", `RESTIC_REPOSITORY=s3:${address}/${bucket}/prod`, image, "--no-cache", ...args],
      ],
      { input },
    );
  await must(restic(["init"]));
  for (const text of ["one", "two"])
    await must(restic(["backup", "--stdin", "--stdin-filename", "data"], keys.writer, text));
});

afterAll(async () => {
  await storage.remove();
  await network.remove();
});

async function must(ended: Promise<Ended>): Promise<string> {
  const { code, stdout, stderr } = await ended;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return stdout;
}

const refusal = (call: StorageCall, key: StorageKey) =>
  callStorage(call, storage.as(key)).then(
    () => "allowed",
    (error: unknown) => (error instanceof StorageRefusal ? error.code : String(error)),
  );
const objects = async () => [...new Set((await versionsOf(storage)).map(({ object }) => object))];

describe("the server's key", () => {
  it("is enough for restic, which leaves no lock behind", async () => {
    expect(
      (await versionsOf(storage)).filter(
        ({ object, isLatest, isDeleteMarker }) => object.includes("/locks/") && isLatest && !isDeleteMarker,
      ),
    ).toEqual([]);
    expect(
      JSON.parse(await must(restic(["snapshots", "--json", "--no-lock"], storage.keys.reader))),
    ).toHaveLength(2);
  });

  it("cannot change the lock, the policy, the lifecycle or the versions of the bucket", async () => {
    const { writer } = storage.keys;
    const calls: StorageCall[] = ["object-lock", "policy", "lifecycle", "versioning"].map((query) => ({
      method: "PUT",
      query: { [query]: "" },
      body: "{}",
    }));

    for (const call of calls)
      expect([call.query, await refusal(call, writer)]).toEqual([call.query, "AccessDenied"]);
    expect(await refusal({ method: "DELETE" }, writer)).toBe("AccessDenied");
  });

  it("cannot reach the objects of another environment", async () => {
    const { administrator, writer, reader } = storage.keys;
    await callStorage({ method: "PUT", object: "test/config", body: "x" }, storage.as(administrator));

    for (const key of [writer, reader])
      expect(await refusal({ method: "GET", object: "test/config" }, key)).toBe("AccessDenied");
    expect(await refusal({ method: "PUT", object: "test/config", body: "y" }, writer)).toBe("AccessDenied");
  });

  it("cannot delete an object or a version, and what it writes over comes back with the administrator's key", async () => {
    const { writer, administrator } = storage.keys;
    const mine = (await objects()).filter(
      (object) => object.startsWith("prod/") && !object.includes("/locks/"),
    );
    const versions = await versionsOf(storage);
    expect(mine.length).toBeGreaterThan(5);

    for (const object of mine) {
      const { version } = versions.find((one) => one.object === object)!;
      expect(await refusal({ method: "DELETE", object }, writer)).toBe("AccessDenied");
      expect(
        await refusal(
          {
            method: "DELETE",
            object,
            query: { versionId: version },
            headers: { "x-amz-bypass-governance-retention": "true" },
          },
          writer,
        ),
      ).toBe("AccessDenied");
      await callStorage({ method: "PUT", object, body: "encrypted by somebody else" }, storage.as(writer));
    }
    expect((await restic(["snapshots", "--no-lock"], storage.keys.reader)).code).not.toBe(0);

    const found = await bringBack("prod", storage.as(administrator));

    expect(found).toEqual({ objects: mine.length, removed: mine.length });
    await must(restic(["check", "--read-data", "--no-lock"], storage.keys.reader));
    expect(
      JSON.parse(await must(restic(["snapshots", "--json", "--no-lock"], storage.keys.reader))),
    ).toHaveLength(2);
  });
});

describe("objects that somebody adds with the server's key", () => {
  it("stop restic, and go with everything else that came after the moment at which the key was still ours", async () => {
    const { writer, reader, administrator } = storage.keys;
    const before = await objects();
    const until = new Date(
      (await versionsOf(storage))
        .map(({ modified }) => modified)
        .sort()
        .at(-1) ?? "",
    );
    for (const folder of ["index", "snapshots"])
      await callStorage(
        { method: "PUT", object: `prod/${folder}/${"a1".repeat(32)}`, body: "no work of restic" },
        storage.as(writer),
      );
    expect((await restic(["check", "--no-lock"], reader)).code).not.toBe(0);
    expect(await bringBack("prod", storage.as(administrator))).toEqual({ objects: 0, removed: 0 });

    const found = await bringBack("prod", { ...storage.as(administrator), until });

    expect(found).toEqual({ objects: 2, removed: 2 });
    expect(await objects()).toEqual(before);
    await must(restic(["check", "--read-data", "--no-lock"], reader));
  });
});

describe("the administrator's key", () => {
  it("brings back what it has hidden itself, whatever was done to it in turn", async () => {
    const { administrator } = storage.keys;
    const object = (await objects()).find((one) => one === "prod/config")!;
    await callStorage({ method: "DELETE", object }, storage.as(administrator));
    await callStorage({ method: "PUT", object, body: "x" }, storage.as(administrator));
    await callStorage({ method: "DELETE", object }, storage.as(administrator));
    expect((await restic(["cat", "config", "--no-lock"], storage.keys.reader)).code).toBe(10);

    expect(await bringBack("prod", storage.as(administrator))).toEqual({ objects: 1, removed: 3 });

    await must(restic(["cat", "config", "--no-lock"], storage.keys.reader));
  });

  it("cannot delete a version that is locked without saying so", async () => {
    const { administrator } = storage.keys;
    const { object, version } = (await versionsOf(storage)).find((one) => one.object === "prod/config")!;

    expect(await refusal({ method: "DELETE", object, query: { versionId: version } }, administrator)).toBe(
      "AccessDenied",
    );
  });
});

describe("a refusal of the storage", () => {
  it.each([
    [
      "a wrong secret",
      (key: StorageKey) => ({ ...key, secretAccessKey: "wrong" }),
      "SignatureDoesNotMatch",
      "check the key",
    ],
    [
      "an unknown key",
      (key: StorageKey) => ({ ...key, accessKeyId: "nobody" }),
      "InvalidAccessKeyId",
      "check the key",
    ],
  ])("names %s and what to do", async (_what, change, code, remedy) => {
    const call = callStorage(
      { method: "GET", object: "prod/config" },
      storage.as(change(storage.keys.reader)),
    );

    await expect(call).rejects.toMatchObject({ code, message: expect.stringContaining(remedy) as string });
  });

  it("names a bucket that is not there, and never the key", async () => {
    const { owner } = storage.keys;
    const call = callStorage({ method: "GET", object: "x" }, { ...storage.as(owner), bucket: "other" });

    await expect(call).rejects.toThrow(/NoSuchBucket; check the bucket's name and its region$/);
    await expect(call).rejects.not.toThrow(owner.secretAccessKey);
  });
});

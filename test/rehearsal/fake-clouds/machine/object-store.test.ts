import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, it, onTestFinished } from "vitest";

import { S3Store } from "../../../../rehearsal/fake-clouds/machine/object-store.ts";
import type { StorageUser } from "../../../../rehearsal/fake-clouds/ovh/state.ts";

const user = (id: number): StorageUser => ({
  ...{
    id,
    username: `user-${id}`,
    description: "x".repeat(10_000),
    status: "ok",
    roles: [],
    creationDate: "",
  },
  ...{ policy: "{}", keys: [{ access: `access-${id}`, secret: "secret" }] },
});

it("knows every user of an account that makes many at the same time", async () => {
  const folder = await mkdtemp(join(tmpdir(), "technicia-store-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const identities = join(folder, "identities.json");
  let [reading, most] = [0, 0];
  const docker = {
    call: async () => {
      most = Math.max(most, (reading += 1));
      await new Promise(setImmediate);
      reading -= 1;
    },
  };
  const place = { container: "store", address: "http://127.0.0.1", identities };
  const store = new S3Store({ docker, ...place, accessKeyId: "administrator", secretAccessKey: "secret" });
  const users = Array.from({ length: 30 }, (_, id) => user(id));

  await Promise.all(users.map((_, at) => store.grant(users.slice(0, at + 1))));

  expect(most).toBe(1);
  const written = JSON.parse(await readFile(identities, "utf8")) as { identities: { name: string }[] };
  expect(written.identities.map(({ name }) => name)).toEqual(
    expect.arrayContaining(users.map(({ username }) => username)),
  );
});

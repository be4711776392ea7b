import { afterEach, describe, expect, it } from "vitest";

import { writerPolicy } from "../../../common/storage-policies.ts";
import { OvhClient } from "../../../provider/ovh/client.ts";
import { keyRights, OVH_RIGHTS } from "../../../provider/ovh/rights.ts";
import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { DEFAULT_CREDENTIAL, startOvh, type FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { connectOvh } from "../../../rehearsal/fake-plugins/ovh/client.ts";
import {
  createKeyType,
  createPolicyType,
  createUserType,
} from "../../../rehearsal/fake-plugins/ovh/storage-user.ts";
import { createLifecycleType, createStorageType } from "../../../rehearsal/fake-plugins/ovh/storage.ts";
import type { Properties } from "../../../rehearsal/fake-plugins/plugin.ts";
import { newCall } from "./new-call.ts";

const PROJECT = "0123456789abcdef0123456789abcdef";
const PLACE = { serviceName: PROJECT, regionName: "RBX" };
const BUCKET = {
  ...PLACE,
  name: "technicia-backup-prod",
  hideObjects: true,
  versioning: { status: "enabled" },
  objectLock: { status: "enabled", rule: { mode: "governance", period: "P30D" } },
};
const POLICY = JSON.stringify(writerPolicy({ bucket: BUCKET.name, prefix: "prod" }));
const { applicationKey, applicationSecret, consumerKey } = DEFAULT_CREDENTIAL;

let ovh: FakeOvh;

afterEach(() => ovh.close());

async function start(parts: readonly (keyof typeof OVH_RIGHTS)[] = ["operate", "backup", "backupSetUp"]) {
  ovh = await startOvh({
    projects: [PROJECT],
    credentials: [{ ...DEFAULT_CREDENTIAL, rules: keyRights(parts, { project: PROJECT }) }],
  });
  const config = { endpoint: ovh.url, applicationKey, applicationSecret, consumerKey };
  const api = await connectOvh({ config, signal: new AbortController().signal });
  return {
    storage: createStorageType(api),
    lifecycle: createLifecycleType(api),
    user: createUserType(api),
    policy: createPolicyType(api),
    key: createKeyType(api),
  };
}

/** Everything that the program makes. */
async function makeAll(types: Awaited<ReturnType<typeof start>>) {
  const bucket = await types.storage.create(newCall(), BUCKET);
  const rules = [
    { id: "old-versions", status: "enabled", noncurrentVersionExpiration: { noncurrentDays: 33 } },
  ];
  const lifecycle = await types.lifecycle.create(newCall(), { ...PLACE, containerName: BUCKET.name, rules });
  const user = await types.user.create(newCall(), {
    serviceName: PROJECT,
    description: "writer",
    roleNames: ["objectstore_operator"],
  });
  const ofUser = { serviceName: PROJECT, userId: user.id };
  const policy = await types.policy.create(newCall(), { ...ofUser, policy: POLICY });
  const key = await types.key.create(newCall(), ofUser);
  return { bucket, lifecycle, user, policy, key };
}

describe("the storage of the fake OVH, through its plugin", () => {
  it("makes bucket, lifecycle, user, policy and key, and reads each back without a difference", async () => {
    const types = await start();
    const made = await makeAll(types);

    expect(made.bucket.id).toBe(`${PROJECT}/RBX/${BUCKET.name}`);
    expect(made.key.state).toMatchObject({
      accessKeyId: made.key.id,
      secretAccessKey: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
    });
    for (const [name, existing, inputs] of [
      ["storage", made.bucket, BUCKET],
      [
        "lifecycle",
        made.lifecycle,
        { ...PLACE, containerName: BUCKET.name, rules: made.lifecycle.state["rules"]! },
      ],
      [
        "user",
        made.user,
        { serviceName: PROJECT, description: "writer", roleNames: ["objectstore_operator"] },
      ],
      ["policy", made.policy, { serviceName: PROJECT, userId: made.user.id, policy: POLICY }],
      ["key", made.key, { serviceName: PROJECT, userId: made.user.id }],
    ] as const) {
      const read = await types[name].read(newCall(), existing, inputs);
      expect(read?.inputs, name).toEqual(inputs);
      expect(types[name].diff({ id: existing.id, state: read!.state }, inputs as Properties), name).toEqual(
        [],
      );
    }
  });

  it("finds a bucket and a policy that exist by the ids of an import", async () => {
    const types = await start();
    const { user } = await makeAll(types);
    const bucket = await types.storage.read(
      newCall(),
      { id: `${PROJECT}/RBX/${BUCKET.name}`, state: {} },
      {},
    );
    const policy = await types.policy.read(newCall(), { id: `${PROJECT}/${user.id}`, state: {} }, {});

    expect(bucket?.state).toMatchObject({ name: BUCKET.name, objectLock: BUCKET.objectLock });
    expect(policy?.state["policy"]).toBe(POLICY);
  });

  it("refuses a bucket's name that is taken, a lock that is taken off, and a policy that is none", async () => {
    const types = await start();
    const { bucket, policy } = await makeAll(types);

    await expect(types.storage.create(newCall(), BUCKET)).rejects.toThrow("409");
    await expect(
      types.storage.update(newCall(), bucket, { ...BUCKET, objectLock: { status: "disabled" } }),
    ).rejects.toThrow("Object lock cannot be disabled");
    await expect(types.policy.update(newCall(), policy, { ...policy.state, policy: "{" })).rejects.toThrow(
      "not valid JSON",
    );
  });

  it("says that a bucket, a user or a lifecycle is gone, and fails for a key, as the official plugin does", async () => {
    const types = await start();
    const made = await makeAll(types);
    const [project] = ovh.state.projects;
    project!.buckets = [];
    project!.users = [];

    expect(await types.storage.read(newCall(), made.bucket, BUCKET)).toBeUndefined();
    expect(await types.lifecycle.read(newCall(), made.lifecycle, made.lifecycle.state)).toBeUndefined();
    expect(await types.user.read(newCall(), made.user, made.user.state)).toBeUndefined();
    await expect(types.key.read(newCall(), made.key, made.key.state)).rejects.toThrow("404");
  });

  it("waits for nothing in a preview and calls nobody", async () => {
    const types = await start();
    const before = ovh.calls.list("ovh").length;
    const { state } = await types.key.create(newCall({ preview: true }), {
      serviceName: PROJECT,
      userId: UNKNOWN,
    });

    expect(state).toEqual({ serviceName: PROJECT, userId: UNKNOWN });
    expect(ovh.calls.list("ovh")).toHaveLength(before);
  });
});

describe("the rights of the key", () => {
  it("for the set-up and for every day are exactly the calls that are made", async () => {
    const types = await start();
    const made = await makeAll(types);
    await types.storage.read(newCall(), made.bucket, BUCKET);
    await types.lifecycle.read(newCall(), made.lifecycle, made.lifecycle.state);
    await types.storage.update(newCall(), made.bucket, BUCKET);
    // The command that makes the administrator asks whether there is one.
    const credentials = { kind: "keys", applicationKey, applicationSecret, consumerKey } as const;
    await new OvhClient({ endpoint: ovh.url, credentials, fetch }).get(`/cloud/project/${PROJECT}/user`);
    const calls = ovh.calls.list("ovh").filter(({ path }) => path.startsWith("/cloud/"));
    const { covers } = await import("../../../provider/ovh/rights.ts");
    const rules = keyRights(["backup", "backupSetUp"], { project: PROJECT });

    expect(calls.filter(({ status }) => status === 403)).toEqual([]);
    expect(rules.filter((rule) => !calls.some((call) => covers(rule, call)))).toEqual([]);
  });

  it("of every day read everything, and make no key, no user and no bucket", async () => {
    const setUp = await start();
    const made = await makeAll(setUp);
    const { state } = ovh;
    await ovh.close();
    ovh = await startOvh({
      state,
      credentials: [{ ...DEFAULT_CREDENTIAL, rules: keyRights(["operate", "backup"], { project: PROJECT }) }],
    });
    const config = { endpoint: ovh.url, applicationKey, applicationSecret, consumerKey };
    const api = await connectOvh({ config, signal: new AbortController().signal });

    expect(await createKeyType(api).read(newCall(), made.key, made.key.state)).toMatchObject({
      id: made.key.id,
    });
    expect(await createStorageType(api).read(newCall(), made.bucket, BUCKET)).toBeDefined();
    for (const refused of [
      () => createKeyType(api).create(newCall(), { serviceName: PROJECT, userId: made.user.id }),
      () => createStorageType(api).create(newCall(), { ...BUCKET, name: "another" }),
      () => createStorageType(api).delete(newCall(), made.bucket),
      () => createUserType(api).delete(newCall(), made.user),
    ])
      await expect(refused()).rejects.toThrow("403");
    expect(ovh.state.projects[0]?.buckets).toHaveLength(1);
  });
});

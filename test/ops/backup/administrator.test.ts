import { randomBytes } from "node:crypto";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { administratorPolicy } from "../../../common/storage-policies.ts";
import { makeAdministrator } from "../../../ops/backup/administrator.ts";
import type { BackupWorld } from "../../../ops/backup/world.ts";
import { keyRights } from "../../../provider/ovh/rights.ts";
import { type FakeOvh, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { validSettings } from "../../support/fixtures.ts";

const PROJECT = "0123456789abcdef0123456789abcdef";
const key = () => randomBytes(16).toString("hex");
const keys = { applicationKey: key(), applicationSecret: key() };
const [SET_UP, DAILY] = [key(), key()];

let ovh: FakeOvh;

beforeAll(async () => {
  ovh = await startOvh({
    credentials: [
      { kind: "keys", ...keys, consumerKey: SET_UP, rules: keyRights(["backup", "backupSetUp"]) },
      { kind: "keys", ...keys, consumerKey: DAILY, rules: keyRights(["operate", "backup"]) },
    ],
    projects: [PROJECT],
  });
});
afterAll(() => ovh.close());
beforeEach(() => {
  ovh.state.projects[0]!.users = [];
});

function make(consumerKey: string, backup: object = { project: PROJECT, region: "RBX" }) {
  const settings: Record<string, unknown> = { ...validSettings(), backup, ovh: { endpoint: ovh.url } };
  const secrets = { ...keys, consumerKey };
  const values = Object.entries(settings).map(([name, objectValue]) => {
    const value = typeof objectValue === "string" ? objectValue : JSON.stringify(objectValue);
    return [`technicia:${name}`, { secret: false, value, objectValue }];
  });
  const hidden = Object.entries(secrets).map(([name, value]) => [
    `technicia:ovh${name[0]!.toUpperCase()}${name.slice(1)}`,
    { secret: true, value },
  ]);
  const { pulumi } = fakePulumi(() => ({
    stdout: JSON.stringify(Object.fromEntries([...values, ...hidden])),
  }));
  const world = { pulumi, fetch, signal: new AbortController().signal } as unknown as BackupWorld;
  return makeAdministrator("test", world);
}

describe("the administrator of the backups", () => {
  it("gets a policy before its key, which is printed once and can be exported as it is", async () => {
    const { text, exitCode } = await make(SET_UP);

    expect(exitCode).toBe(0);
    const [user] = ovh.state.projects[0]!.users;
    expect(user).toMatchObject({ description: "technicia backup administrator test" });
    expect(JSON.parse(user?.policy ?? "")).toEqual(
      administratorPolicy({ bucket: "technicia-backup-test-0123456789ab" }),
    );
    const [made] = user?.keys ?? [];
    expect(text.split("\n").at(-1)).toBe(`BACKUP_ADMINISTRATOR_KEY=${made?.access}:${made?.secret}`);
  });

  it("is made once", async () => {
    await make(SET_UP);

    await expect(make(SET_UP)).rejects.toThrow(/^test has an administrator already, the user \d+/);
    expect(ovh.state.projects[0]!.users).toHaveLength(1);
  });

  it("cannot be made with the key of every day", async () => {
    await expect(make(DAILY)).rejects.toThrow(/403|not been granted/);
    expect(ovh.state.projects[0]!.users).toEqual([]);
  });

  it("is the operator's own business where the bucket is", async () => {
    const bucket = { address: "https://s3.example.org", region: "rbx", name: "ours" };

    await expect(make(SET_UP, { bucket })).rejects.toThrow(/got ours of your own/);
  });
});

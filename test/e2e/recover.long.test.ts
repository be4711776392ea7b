/** Total loss: the server's disk, and then the state as well. One command brings everything back, and the counts are as before. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { STATE } from "../../rehearsal/addresses.ts";
import { addData, countSet, EXECUTIONS, POINTS } from "./data.ts";
import { history, npm, useOvhKey } from "./deployments.ts";
import { reinstall } from "../../rehearsal/reinstall.ts";
import {
  askHealth,
  ensureStarted,
  expectQuiet,
  management,
  onServer,
  operator,
  startAgain,
  until,
} from "./rehearsal.ts";

interface Clouds {
  readonly ovh: {
    readonly servers: readonly { readonly serviceName: string }[];
    readonly orders: readonly unknown[];
    readonly projects: readonly {
      readonly buckets: readonly { readonly name: string }[];
      readonly users: readonly {
        readonly id: number;
        readonly keys: readonly { readonly access: string }[];
      }[];
    }[];
  };
  readonly cloudflare: {
    readonly zones: readonly {
      readonly records: readonly { readonly id: string; readonly name: string; readonly type: string }[];
    }[];
  };
}

/** What must not be there twice afterwards. */
async function atVendors() {
  const { ovh, cloudflare } = await management<Clouds>("state");
  return {
    servers: ovh.servers.map(({ serviceName }) => serviceName),
    orders: ovh.orders.length,
    buckets: ovh.projects.flatMap(({ buckets }) => buckets.map(({ name }) => name)),
    users: ovh.projects.flatMap(({ users }) =>
      users.map(({ id, keys }) => ({ id, keys: keys.map(({ access }) => access) })),
    ),
    records: cloudflare.zones.flatMap(({ records }) =>
      records.map(({ id, name, type }) => ({ id, name, type })),
    ),
  };
}

/** Recovers and prints how long each step took; gives what the command said. */
async function recover(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await npm("recover", "--", "test", "--yes", ...args);
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  console.log(/^Step +Seconds[^]*/m.exec(stdout)?.[0]);
  return `${stdout}\n${stderr}`;
}

async function expectAnswering(): Promise<void> {
  await until("TechnicIA to answer", async () => {
    await askHealth();
    return true;
  });
}

beforeAll(async () => {
  await ensureStarted();
  await addData();
});
// Rewrites the settings, which puts the key of every day back.
afterAll(startAgain);

describe("a lost disk", () => {
  it("is brought back with the state at hand, with the same counts, certificates and history", async () => {
    // The set's own entry comes after it.
    const { events } = await history();
    const { counts: before } = await countSet();
    const serial = await onServer("cat /opt/technicia/gateway/tls/current/*.pem | sha256sum");
    expect(before["qdrant"]).toMatchObject({ technicia: expect.any(Number) as number });
    expect(before["qdrant"]!["technicia"]).toBeGreaterThanOrEqual(POINTS);
    expect(before["n8n"]!["workflows"]).toBeGreaterThanOrEqual(3);
    expect(before["n8n"]!["executions"]).toBeGreaterThanOrEqual(EXECUTIONS);
    expect(before["n8n"]).toMatchObject({ credentials: expect.any(Number) as number, users: 1 });
    await reinstall();

    await recover();

    expect((await countSet()).counts).toEqual(before);
    expect(await onServer("cat /opt/technicia/gateway/tls/current/*.pem | sha256sum")).toBe(serial);
    expect((await history()).events.map(({ at }) => at)).toEqual(
      expect.arrayContaining(events.map(({ at }) => at)),
    );
    await expectAnswering();
    await expectQuiet();
  });

  it("keeps the records readable meanwhile, out of the newest set", async () => {
    const { events } = await history();
    await countSet();
    await onServer("systemctl stop ssh.service");
    try {
      const { code, stdout, stderr } = await npm("history", "--", "test", "--json");
      expect(code, stderr).toBe(0);
      const shown = JSON.parse(stdout) as { events: { at: string }[]; copy: { set: string } };
      expect(shown.copy.set).toMatch(/^[0-9a-f]{64}$/);
      expect(shown.events.map(({ at }) => at)).toEqual(expect.arrayContaining(events.map(({ at }) => at)));
    } finally {
      await onServer("systemctl start ssh.service");
    }
  });
});

describe("a lost disk and a lost state", () => {
  it("are brought back from the vendors: nothing is made twice or deleted, and the counts are the same", async () => {
    const [{ counts: before }, known] = [await countSet(), await atVendors()];
    await useOvhKey("ovhFirstConsumerKey");
    await reinstall();
    await rm(join(STATE, "backend"), { recursive: true });
    await mkdir(join(STATE, "backend"));

    const said = await recover("--state-lost");

    expect(said).toContain("adopted vps-server (");
    expect(said).toContain("adopted backup-storage-bucket (");
    expect(said).toContain("adopted backup-storage-reader-key (");
    expect(said).toMatch(/adopted dns-\S+-a \(/);
    expect(await atVendors()).toEqual(known);
    expect((await countSet()).counts).toEqual(before);
    await expectAnswering();
    await expectQuiet();
  });
});

describe("an environment that was destroyed", () => {
  it("leaves its sets and their keys, and comes back with the same counts", async () => {
    const [{ counts: before }, { buckets, users }] = [await countSet(), await atVendors()];
    const { code, stdout, stderr } = await operator([
      ...["pulumi", "destroy", "--yes", "--skip-preview", "--stack", "test", "--non-interactive"],
    ]);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(await atVendors()).toMatchObject({ buckets, users });
    await useOvhKey("ovhFirstConsumerKey");

    await recover("--state-lost");

    expect(await atVendors()).toMatchObject({ buckets, users });
    expect((await countSet()).counts).toEqual(before);
    await expectAnswering();
    await expectQuiet();
  });
});

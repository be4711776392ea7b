import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";

import { UserError } from "../../../common/user-error.ts";
import type { Check } from "../../../common/check.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { rollback } from "../../../ops/deploy/rollback.ts";
import { type PulumiFailure, pulumiOnPath } from "../../../ops/engine/cli.ts";
import { LockRefusal, readLock, takeLock } from "../../../ops/server/lock.ts";
import { RECORDS_FOLDER } from "../../../common/release.ts";
import { finishRelease } from "../../../ops/server/records.ts";
import type { DeployRequest } from "../../../ops/deploy/release-progress.ts";
import { BIN, fillCache } from "../engine/launcher.ts";
import { failing, ok, pulled, TestStack, unknown } from "./test-stack.ts";

let stack: TestStack;

beforeEach(async () => {
  stack = await TestStack.open();
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

function run(request: Partial<DeployRequest> = {}) {
  const whole = { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true };
  return deploy({ ...whole, ...request }, stack.operator);
}

const OLD = "technicia/vector-store:1.0.0";
const NEW = "technicia/vector-store:1.0.1";

/** A stack that runs release 1, with the settings asking for another vector-store. */
async function withNewVersion(): Promise<void> {
  await run();
  stack.setImage("vectorStore", NEW);
  stack.parts.length = stack.calls.length = stack.printed.length = 0;
}

/** Verification that fails as long as the new version runs. */
const failsOnNew = () => Promise.resolve([stack.images["vectorStore"] === pulled(NEW) ? failing : ok]);

describe("deploy", () => {
  it("runs every part in order, and records what runs", async () => {
    const outcome = await withNewVersion().then(() => run());

    expect(stack.parts).toEqual(["preflight", "plan", "up", "verify"]);
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(outcome.text).toMatch(/^release 2 \(0123456789ab\): .*vectorStore 1\.0\.1@sha256:/);
    expect(outcome.text).toContain("preflight 5.0 s, plan 10.0 s, up 60.0 s, verify 20.0 s");
    expect(await stack.lastRelease()).toMatchObject({
      number: 2,
      kind: "deploy",
      outcome: "succeeded",
      revision: "0123456789abcdef0123456789abcdef01234567",
      who: "alice@laptop",
      reason: "Raise vector-store",
      emergency: false,
      images: { vectorStore: pulled(NEW), n8n: pulled("n8nio/n8n:2.41.3") },
      preflight: [ok, unknown],
      verify: [ok, unknown],
      seconds: { preflight: 5, plan: 10, up: 60, verify: 20 },
    });
    expect((await stack.history()).at(-1)).toMatch(
      /^deploy: version 2 en service : vectorStore 1\.0\.0@\S+ → 1\.0\.1@\S+$/,
    );
  });

  it("applies the plan that it has made, without a second preview", async () => {
    await run();

    expect(stack.ups).toHaveLength(1);
    expect(stack.ups[0]!.args).toEqual(
      expect.arrayContaining(["--skip-preview", "--plan", "/scratch/plan.json"]),
    );
  });

  it("holds the lock while it works, and nobody has it afterwards", async () => {
    await run();
    const during: string[] = [];
    stack.verify = async () => {
      during.push((await readLock(stack.server))!.holder.why);
      return [ok];
    };
    await run({ reason: "ticket 12" });

    expect(during).toEqual(["deploy: ticket 12"]);
    expect(await readLock(stack.server)).toBeUndefined();
    expect(await readdir(stack.server.folder)).toEqual(["history.jsonl", "releases"]);
  });

  it("refuses when a check fails before anything was changed, and keeps that in the audit", async () => {
    await run();
    stack.preflight = () => Promise.resolve([ok, failing, unknown]);
    stack.parts.length = 0;
    const outcome = await run();

    expect(outcome.exitCode).toBe(3);
    expect(outcome.text).toContain("preflight: 1 ok, 1 failed, 1 not checked");
    expect(outcome.text).toContain("  failed       Application accessible: 500");
    expect(outcome.text).toContain("  not checked  Sauvegardes: aucune");
    expect(stack.parts).toEqual(["preflight"]);
    expect(await stack.releases()).toHaveLength(1);
    expect((await stack.history()).at(-1)).toBe(
      "deploy: refusé : contrôle préalable en échec (Application accessible)",
    );
    expect(await readLock(stack.server)).toBeUndefined();
  });

  it("refuses outside of the window, and prints the next opening", async () => {
    await run();
    stack.now = new Date("2026-11-26T12:00:00Z");
    const outcome = await run();

    expect(outcome.exitCode).toBe(3);
    expect(outcome.text).toBe(
      "the window of test is closed, because it opens from 09:00 to 12:00 UTC; next opening: Tuesday 2026-12-01 09:00 UTC\n" +
        'in an emergency continue with --emergency --reason "…", which is recorded',
    );
    expect(stack.ups).toHaveLength(1);
    expect((await stack.history()).at(-1)).toBe(
      "deploy: refusé : fenêtre fermée, prochaine ouverture : 2026-12-01T09:00:00.000Z",
    );
  });

  it("ignores the window and failed checks in an emergency, and records the emergency", async () => {
    await run();
    stack.now = new Date("2026-11-28T23:00:00Z");
    stack.preflight = () => Promise.resolve([failing]);
    const outcome = await run({ emergency: true, reason: "certificate expired" });

    expect(outcome.exitCode).toBe(0);
    expect(stack.printed.join("\n")).toContain("continuing despite 1 failed checks (--emergency)");
    expect(await stack.lastRelease()).toMatchObject({
      emergency: true,
      reason: "certificate expired",
      preflight: [failing],
    });
    expect(await stack.history()).toContain("emergency: version 2 : déploiement d'urgence");
  });

  it("asks before the first contact whether to trust the host key that the plan shows", async () => {
    stack.confirms = false;
    stack.hostKey = "host key: 203.0.113.10:22 answers with SHA256:abc (ssh-ed25519)";

    await run({ yes: false });

    expect(stack.asked).toEqual([`${stack.hostKey}\nTrust that server, and apply this to test?`]);
  });

  it("changes nothing when nobody confirms", async () => {
    stack.confirms = false;

    expect(await run({ yes: false })).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(stack.ups).toEqual([]);
  });

  it("stops when there is no plan", async () => {
    stack.planFailure = "the program fails";

    expect(await run()).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("the program fails") as string,
    });
    expect(stack.ups).toEqual([]);
  });

  it("applies a reviewed plan, and lets the engine check first that it still fits", async () => {
    await run({ plan: "reviewed" });

    expect(stack.parts).not.toContain("plan");
    expect(stack.ups[0]!.args).toEqual(expect.arrayContaining(["--plan", "reviewed/plan.json"]));
    expect(stack.ups[0]!.args).not.toContain("--skip-preview");
  });

  it("refuses a reviewed plan that no longer fits, and prints what changed", async () => {
    stack.planChanges = ["the stack's settings are others than the plan's"];
    const outcome = await run({ plan: "reviewed" });

    expect(outcome).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("the stack's settings are others") as string,
    });
    expect(stack.ups).toEqual([]);
  });

  it("prints and records what a killed run of the engine had left pending", async () => {
    await run();
    stack.pending = { adopted: ["a"], forgotten: ["b", "c"], refreshed: [] };
    await run();

    expect(await stack.history()).toContain("resume: reprise : 1 ressources adoptées, 2 à refaire, 0 relues");
  });
});

describe("a changed secret", () => {
  it("is in the audit by its name", async () => {
    await run();
    stack.recorded = "secret";
    await run({ reason: "key rotated" });

    expect(await stack.history()).toContain(
      "secret: secrets changés : technicia-vector-store-voyage-api-key",
    );
  });

  it("is not recorded where there is none", async () => {
    await run();
    stack.recorded = "bump";
    await run();

    expect((await stack.history()).filter((line) => line.startsWith("secret"))).toEqual([]);
  });
});

describe("Docker's plugin", () => {
  it("is logged in before the update and before the rollback", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    const before: (string | undefined)[] = [];
    stack.up = () => Promise.resolve(void before.push(stack.server.purposes.at(-1)));

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(before).toEqual(["log in for Docker", "log in for Docker"]);
  });
});

describe("a first deployment", () => {
  it("is recorded, and locked, as soon as there is a server", async () => {
    stack.up = async () => {
      expect(stack.server.purposes).toEqual([]);
      return Promise.resolve(undefined);
    };
    stack.verify = async () => {
      expect(await readLock(stack.server)).toBeDefined();
      return [ok];
    };

    expect(await run()).toMatchObject({ exitCode: 0 });
    expect(await stack.lastRelease()).toMatchObject({
      number: 1,
      outcome: "succeeded",
      startedAt: "2026-11-24T10:00:00.000Z",
    });
  });

  it("has no release to roll back to when its verification fails", async () => {
    stack.verify = () => Promise.resolve([failing]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "no earlier release has passed its verification, so there is none to roll back to",
    );
    expect(await stack.lastRelease()).toMatchObject({ number: 1, outcome: "failed", verify: [failing] });
  });

  it("leaves no record when it fails before there is a server", async () => {
    stack.up = () => Promise.resolve({ error: "the cloud is closed", changed: true });
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("the cloud is closed");
    expect(outcome.text).toContain("it was the first deployment, so there is no release to roll back to");
    expect(stack.server.purposes).toEqual([]);
  });
});

describe("a failing release", () => {
  it("is rolled back automatically, verified again, and recorded", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("test: the verification of the release failed in 1 checks");
    expect(outcome.text).toContain("release 1 runs again");
    expect(outcome.text).toContain("Pulumi.test.yaml still has what failed");
    expect(outcome.text).toContain("rollback 60.0 s, rollbackVerify 20.0 s");
    expect(stack.images["vectorStore"]).toBe(pulled(OLD));
    expect(await stack.lastRelease()).toMatchObject({
      number: 2,
      outcome: "rolled-back",
      restored: 1,
      verify: [failing],
      images: { vectorStore: pulled(NEW) },
      failure: "vérification en échec : Application accessible (500)",
      restoredVerify: [ok, { id: "rollback-time", outcome: "ok", measures: { rollbackSeconds: 80 } }],
    });
    expect((await stack.history()).at(-1)).toBe(
      "rollback: version 2 en échec (vérification en échec : Application accessible (500)), version 1 remise en service en 80 s",
    );
  });

  it("opens an incident with its symptoms, and prints its number", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    await run();

    expect(stack.incidents).toMatchObject([
      {
        stack: "test",
        priority: "Moyenne",
        description: "vérification en échec : Application accessible (500)",
        symptoms: ["Application accessible : 500"],
        impact: "la version 1 sert à nouveau ; la version 2 n'est pas livrée",
      },
    ]);
    expect(stack.incidents[0]?.diagnostics).toContain(`vectorStore : ${pulled(NEW)}`);
    expect(stack.printed).toContain("opened DEPLOY-001 in docs/deployment-issues.md");
    expect(await stack.history()).toContain("incident: DEPLOY-001 ouvert : version 2");
  });

  it("is recorded even when the issues document cannot be written", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    stack.incidentFault = "docs/deployment-issues.md:12: expected a table, got none";

    expect((await run()).exitCode).toBe(4);
    expect(await stack.lastRelease()).toMatchObject({ outcome: "rolled-back" });
    expect(stack.printed).toContain(
      "no incident was opened: docs/deployment-issues.md:12: expected a table, got none",
    );
  });

  it("is rolled back with a copy of the settings: images by digest, same secrets, and the file itself unchanged", async () => {
    await withNewVersion();
    const file = stack.settings;
    stack.verify = failsOnNew;
    await run();

    const applied = parse(stack.applied) as { encryptionsalt: string; config: Record<string, unknown> };
    expect(applied.encryptionsalt).toBe("v1:salt");
    expect(applied.config["technicia:voyageApiKey"]).toEqual({ secure: "v1:cipher" });
    expect(applied.config["technicia:images"]).toMatchObject({ vectorStore: pulled(OLD) });
    expect(stack.settings).toBe(file);
    const args = stack.ups.at(-1)!.args;
    expect(args).toContain("--skip-preview");
    expect(args).not.toContain("--refresh");
    expect(args).not.toContain("--plan");
  });

  it("restores the settings of the earlier release, except its choice of database", async () => {
    await run();
    const file = parse(stack.settings) as {
      config: { "technicia:services": { n8n: { database: string; memoryMib: number } } };
    };
    const { n8n } = file.config["technicia:services"];
    n8n.memoryMib = 64;
    n8n.database = "postgres";
    stack.settings = JSON.stringify(file);
    stack.verify = () => Promise.resolve([parts().n8n.memoryMib === 64 ? failing : ok]);
    const parts = () =>
      (
        parse(stack.applied) as {
          config: { "technicia:services": { n8n: { memoryMib: number; database: string } } };
        }
      ).config["technicia:services"];

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(parts().n8n).toMatchObject({ memoryMib: 1280, database: "postgres" });
  });

  it("is rolled back with a refresh when its update failed half way", async () => {
    await withNewVersion();
    stack.up = (images) =>
      Promise.resolve(
        images["vectorStore"] === NEW ? { error: "the task never got healthy", changed: true } : undefined,
      );
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("the task never got healthy");
    expect(stack.ups.at(-1)!.args).toContain("--refresh");
    expect(stack.parts).toEqual(["preflight", "plan", "up", "up", "verify"]);
    expect(await stack.lastRelease()).toMatchObject({ outcome: "rolled-back", verify: [] });
  });

  it("keeps secrets out of what is printed, recorded and reported, whatever the engine printed", async () => {
    await withNewVersion();
    stack.up = () => Promise.resolve({ error: "401 for key pa-hush", changed: false });
    const { text } = await run();

    const record = JSON.stringify([await stack.lastRelease(), await stack.history(), stack.incidents]);
    expect(text).toContain("401 for key [secret]");
    expect(record).toContain("401 for key [secret]");
    expect(`${text}${record}`).not.toContain("pa-hush");
  });

  it("is not rolled back when its update failed before it changed anything", async () => {
    await withNewVersion();
    stack.up = () => Promise.resolve({ error: "no credentials", changed: false });
    const outcome = await run();

    expect(outcome).toMatchObject({
      exitCode: 1,
      text: expect.stringContaining("nothing was changed") as string,
    });
    expect(stack.ups).toHaveLength(1);
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "failed",
      failure: "la mise à jour a échoué : error: no credentials ; rien n'a été changé",
    });
  });

  it("is not rolled back to an identical release", async () => {
    await run();
    stack.verify = () => Promise.resolve([failing]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "release 1 had the same images, limits and timeouts, so a rollback would change nothing",
    );
    expect(stack.ups).toHaveLength(2);
  });

  it("fails when the verification of the earlier one fails too", async () => {
    await withNewVersion();
    stack.verify = () => Promise.resolve([failing]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("rolled back to release 1, but that failed: its verification failed too");
    expect(await stack.lastRelease()).toMatchObject({ outcome: "failed", restored: 1 });
  });

  it("fails when the engine cannot restore the earlier one", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    stack.up = (images) =>
      Promise.resolve(images["vectorStore"] === NEW ? undefined : { error: "disk full", changed: true });
    const outcome = await run();

    expect(outcome).toMatchObject({ exitCode: 1, text: expect.stringContaining("disk full") as string });
  });

  it("reports a rollback that took longer than promised", async () => {
    await withNewVersion();
    stack.verify = failsOnNew;
    stack.upSeconds = 290;
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain(
      "the rollback took 310 s, longer than operations.thresholds.rollbackSeconds (300 s)",
    );
    expect((await stack.lastRelease()).restoredVerify.at(-1)).toMatchObject({
      id: "rollback-time",
      outcome: "failed",
    });
  });

  it("is rolled back to the last good release, not to one that failed or was not verified", async () => {
    await run();
    stack.setImage("vectorStore", "technicia/vector-store:1.0.1");
    await run({ only: "up" });
    stack.setImage("vectorStore", "technicia/vector-store:1.0.2");
    stack.verify = () => Promise.resolve([stack.images["vectorStore"] === pulled(OLD) ? ok : failing]);

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(await stack.lastRelease()).toMatchObject({ number: 3, restored: 1 });
  });

  it("keeps who may reach what: the restored settings are limits and timeouts, and the difference is shown", async () => {
    const edit = (change: (settings: EditedSettings) => void) => {
      const file = parse(stack.settings) as { config: EditedSettings };
      change(file.config);
      stack.settings = JSON.stringify(file);
    };
    edit(({ "technicia:services": { gateway } }) => (gateway.editorCidrs = ["198.51.100.0/24"]));
    await run();
    // A network that leaked is taken out, and later another release fails.
    edit((settings) => {
      settings["technicia:services"].gateway.editorCidrs = [];
      settings["technicia:services"].gateway.memoryMib = 32;
      settings["technicia:timeouts"].observationSeconds = 7;
    });
    const observation = () =>
      (parse(stack.applied) as { config: EditedSettings }).config["technicia:timeouts"].observationSeconds;
    stack.verify = () => Promise.resolve([observation() === 7 ? failing : ok]);

    expect(await run()).toMatchObject({ exitCode: 4 });
    const { "technicia:services": services } = (parse(stack.applied) as { config: EditedSettings }).config;
    expect(services.gateway).toMatchObject({ editorCidrs: [], memoryMib: 96 });
    expect(stack.printed).toContain(
      'services.gateway.editorCidrs stays [], the release had ["198.51.100.0/24"]',
    );
  });
});

interface EditedSettings {
  readonly "technicia:services": { readonly gateway: { editorCidrs: string[]; memoryMib: number } };
  readonly "technicia:timeouts": { observationSeconds: number };
}

describe("a release that may have changed the format of data", () => {
  const BEFORE = "n8nio/n8n:2.41.3";
  const AFTER = "n8nio/n8n:2.42.0";
  const isNew = () => stack.images["n8n"] === pulled(AFTER);

  async function withNewN8n(): Promise<void> {
    await run();
    stack.setImage("n8n", AFTER);
    stack.setImage("n8nRunners", AFTER.replace("n8n:", "runners:"));
    stack.calls.length = stack.printed.length = 0;
  }

  const failsAs = (id: string) => () => Promise.resolve([isNew() ? { ...failing, id } : ok]);

  it("says so before the question, and records it", async () => {
    await withNewN8n();

    expect((await run()).exitCode).toBe(0);
    expect(stack.printed).toContain(
      "n8n 2.41.3 → 2.42.0: the new version may change the format of the data, of which there is no copy; if this release fails, it is not rolled back by itself",
    );
    expect(await stack.history()).toContain(
      "deploy: n8n 2.41.3 → 2.42.0 : les données peuvent changer de format, sans copie ; pas de retour automatique",
    );
  });

  it("makes a set first where there are backups, and names it with the way back when it fails", async () => {
    await withNewN8n();
    stack.takeSet = () => Promise.resolve("0123456789abcdef");
    stack.verify = failsAs("functional-https");
    stack.confirms = true;
    const { text } = await run({ yes: true });

    expect(stack.parts.indexOf("set")).toBeLessThan(stack.parts.lastIndexOf("verify"));
    expect(text).toContain(
      "release 2 was not rolled back: n8n 2.41.3 → 2.42.0 may have changed the format of its data, which the set 01234567 has as it was before\n" +
        'correct Pulumi.test.yaml and deploy again; or go back with the data of before: npm run rollback -- test --with-data --reason "…"',
    );
    expect((await stack.history()).join("\n")).toContain("jeu 01234567 fait avant");
  });

  it("does not begin when the set cannot be made", async () => {
    await withNewN8n();
    stack.takeSet = () =>
      Promise.reject(new UserError("could not make a set of backups before the release: no space"));

    await expect(run()).rejects.toThrow("no space");
    expect(stack.ups).toEqual([]);
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
    expect(await stack.lastRelease()).toMatchObject({ outcome: "failed" });
  });

  it("makes no set for a release that changes no program with data, and rehearses none after it", async () => {
    await run();
    stack.parts.length = 0;
    stack.setImage("gateway", "nginx:1.31.0-alpine");
    await run();

    expect(stack.parts).not.toContain("set");
    expect(stack.parts.join()).not.toContain("rehearse");
  });

  it("has a restore rehearsed once the release is verified and recorded", async () => {
    await withNewN8n();
    stack.takeSet = () => Promise.resolve("0123456789abcdef");
    await run();

    expect(stack.parts.at(-1)).toBe("rehearse release-2");
    expect(await stack.lastRelease()).toMatchObject({ number: 2, outcome: "succeeded" });
  });

  it("has no restore rehearsed after a release that failed", async () => {
    await withNewN8n();
    stack.takeSet = () => Promise.resolve("0123456789abcdef");
    stack.verify = failsAs("functional-https");
    await run();

    expect(stack.parts.join()).not.toContain("rehearse");
  });

  it.each(["performance-health", "security-ports-v4"])(
    "is never rolled back because %s failed, and nobody is asked",
    async (id) => {
      await withNewN8n();
      stack.verify = failsAs(id);
      const outcome = await run({ yes: false });

      expect(outcome.exitCode).toBe(1);
      expect(outcome.text).toContain(
        "release 2 was not rolled back: n8n 2.41.3 → 2.42.0 may have changed the format of its data, of which there is no copy\n" +
          "correct Pulumi.test.yaml and deploy again; or, if you know that the older version reads this data, " +
          'npm run rollback -- test --to 1 --data-stays --reason "…"',
      );
      expect(stack.ups).toHaveLength(1);
      expect(stack.images["n8n"]).toBe(pulled(AFTER));
      expect(await stack.lastRelease()).toMatchObject({
        outcome: "failed",
        images: { n8n: pulled(AFTER) },
        failure: expect.stringMatching(/pas de retour à la version 1 : n8n 2\.41\.3 → 2\.42\.0/) as string,
      });
    },
  );

  it.each([true, false])(
    "is not rolled back for any other failure without a set of before, and nobody is asked: --yes %s",
    async (yes) => {
      await withNewN8n();
      stack.verify = failsAs("functional-n8n");

      expect((await run({ yes })).exitCode).toBe(1);
      expect(stack.asked).toHaveLength(yes ? 0 : 1);
      expect(stack.images["n8n"]).toBe(pulled(AFTER));
    },
  );

  it("is rolled back by itself when its update failed before it came to that program", async () => {
    await withNewN8n();
    stack.up = (images) =>
      Promise.resolve(
        images["n8n"] === AFTER ? { error: "no room", changed: true, service: "vector-store" } : undefined,
      );

    expect((await run()).exitCode).toBe(4);
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
  });

  it("is not rolled back by itself when its update failed at that program", async () => {
    await withNewN8n();
    stack.up = (images) =>
      Promise.resolve(
        images["n8n"] === AFTER
          ? { error: "service update paused: update paused due to failure", changed: true, service: "n8n" }
          : undefined,
      );

    expect((await run()).exitCode).toBe(1);
    expect(stack.ups).toHaveLength(1);
  });

  it("is not passed over by a later release that fails: the last good one is older than the data", async () => {
    await withNewN8n();
    stack.verify = failsAs("performance-health");
    await run();
    stack.setImage("vectorStore", NEW);
    stack.verify = () => Promise.resolve([failing]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("release 3 was not rolled back: n8n 2.41.3 → 2.42.0");
    expect(stack.images["n8n"]).toBe(pulled(AFTER));
  });

  it("is what `rollback` without a number starts from, although it failed", async () => {
    await withNewN8n();
    stack.verify = failsAs("performance-health");
    await run();
    const request = {
      ...{ stack: "test", to: undefined, reason: "slow", yes: true },
      ...{ dataStays: false, withData: false },
    };
    const refused = await rollback(request, stack.operator);

    expect(refused.exitCode).toBe(3);
    expect(refused.text).toBe(
      "test: release 1 has older versions of programs that store data, of which there is no copy:\n" +
        "  n8n goes back from 2.42.0 to 2.41.3, but its data stays in the format of 2.42.0: " +
        "the older version may not start, or may damage what it does not understand\n" +
        "change the other images in Pulumi.test.yaml and deploy that; or, if you know that the older version reads this data, " +
        'npm run rollback -- test --to 1 --data-stays --reason "slow"',
    );
    expect(stack.images["n8n"]).toBe(pulled(AFTER));
    expect(await rollback({ ...request, dataStays: true }, stack.operator)).toMatchObject({ exitCode: 0 });
    expect(stack.images["n8n"]).toBe(pulled(BEFORE));
  });
});

describe("one deployment at a time", () => {
  it("lets only one of two run that start together", async () => {
    await run();
    const started = Promise.withResolvers<void>();
    const proceed = Promise.withResolvers<void>();
    stack.preflight = async () => {
      started.resolve();
      await proceed.promise;
      return [ok];
    };
    const first = run();
    await started.promise;
    const second = run();

    await expect(second).rejects.toThrow(LockRefusal);
    await expect(second).rejects.toThrow(
      /^test: expected no deployment under way, got alice@laptop since \S+ \S+ UTC, why: deploy: Raise vector-store, last sign of life \d+ s ago; wait until it has ended$/,
    );
    proceed.resolve();
    expect(await first).toMatchObject({ exitCode: 0 });
    expect(await stack.releases()).toHaveLength(2);
  });

  it("names the CI run that holds the lock", async () => {
    await run();
    const identity = { who: "bob@github", run: "https://github.com/o/r/actions/runs/7", process: 1 };
    await takeLock(stack.server, { ...stack.operator, stack: "test", identity, why: "deploy: x" });

    await expect(run()).rejects.toThrow("got bob@github (https://github.com/o/r/actions/runs/7) since");
  });

  it("stops when its lock is broken, and says so in the record", async () => {
    await run();
    stack.verify = async ({ signal }) => {
      await stack.server.run({
        purpose: "break the lock",
        script: `rm -r "$RECORDS_FOLDER/lock"`,
        variables: { RECORDS_FOLDER },
      });
      const lost = new Promise((resolve) => signal.addEventListener("abort", resolve));
      stack.tick();
      await lost;
      return [ok];
    };
    const outcome = run();

    await expect(outcome).rejects.toThrow("test: somebody broke the deployment lock of this command");
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "failed",
      failure: "arrêtée : quelqu'un a pris le verrou de ce déploiement",
    });
  });

  it("ends the engine in order when its lock is taken, rolls nothing back, and records why", async () => {
    await withNewVersion();
    await using engine = await engineBehindLauncher();
    stack.up = () => engine.run(stack.ups.at(-1)!.signal, takeForBob);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toMatch(
      /^test: the update failed:\nerror: update cancelled\ntest: somebody broke the deployment lock of this command/,
    );
    expect(stack.ups).toHaveLength(1);
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "failed",
      failure:
        "arrêtée : quelqu'un a pris le verrou de ce déploiement ; la mise à jour a échoué : error: update cancelled",
      // Bob may have changed what runs.
      images: {},
    });
    expect((await readLock(stack.server))!.holder.who).toBe("bob@desk");
  });

  it("tells in the audit why it stopped when whoever took its lock has already recorded its end", async () => {
    await withNewVersion();
    await using engine = await engineBehindLauncher();
    stack.up = () =>
      engine.run(stack.ups.at(-1)!.signal, async () => {
        await finishRelease(stack.server, {
          ...(await stack.lastRelease()),
          outcome: "failed",
          failure: "x",
        });
        await takeForBob();
      });

    expect((await run()).exitCode).toBe(1);
    expect(stack.printed.join("\n")).toContain("somebody else has recorded the end of release 2");
    expect((await stack.history()).at(-1)).toMatch(
      /^deploy: version 2 en échec : arrêtée : quelqu'un a pris le verrou de ce déploiement ; /,
    );
  });
});

async function takeForBob(): Promise<void> {
  await stack.server.run({
    purpose: "break the lock",
    script: `rm -r "$RECORDS_FOLDER/lock"`,
    variables: { RECORDS_FOLDER },
  });
  const bob = { who: "bob@desk", run: "", process: 1 };
  await takeLock(stack.server, { ...stack.operator, stack: "test", identity: bob, why: "deploy: x" });
  stack.tick();
}

/** An engine behind npm's launcher that runs until it is interrupted, as on the operator's machine. */
async function engineBehindLauncher() {
  const home = await mkdtemp(join(tmpdir(), "launcher-"));
  vi.stubEnv("PULUMI_HOME", home);
  vi.stubEnv("PATH", `${BIN}:${process.env["PATH"] ?? ""}`);
  const cancelled = "trap 'echo \"error: update cancelled\" >&2; exit 255' INT";
  await fillCache(home, `${cancelled}; echo started; while :; do sleep 0.05; done`);
  return {
    async run(signal: AbortSignal | undefined, onStarted: () => Promise<void>) {
      const onLine = (line: string) => void (line === "started" && onStarted());
      const ended = await pulumiOnPath({ args: ["up"], onLine, ...(signal && { signal }) }).then(
        () => "",
        (error: PulumiFailure) => error.errors.join("\n").replace(/^error: /, ""),
      );
      return { error: ended, changed: true };
    },
    async [Symbol.asyncDispose]() {
      vi.unstubAllEnvs();
      await rm(home, { recursive: true });
    },
  };
}

describe("an interrupted deployment", () => {
  it("rolls nothing back, and is recorded as interrupted", async () => {
    await withNewVersion();
    stack.up = () => {
      stack.stop.abort(new Error("interrupted by the operator"));
      return Promise.resolve({ error: "update cancelled", changed: true });
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(stack.ups).toHaveLength(1);
    expect((await stack.lastRelease()).failure).toMatch(/^interrompue par l'opérateur ; .*update cancelled$/);
  });
});

describe("a deployment that is killed", () => {
  const never = () => new Promise<never>(() => undefined);

  /** Runs a deployment up to a part that never ends, and leaves it there; its process is gone. */
  async function killedAt(part: "preflight" | "plan" | "up" | "verify" | "rollback"): Promise<void> {
    await withNewVersion();
    const reached = Promise.withResolvers<void>();
    const stuck = () => {
      reached.resolve();
      return never();
    };
    const { up, verify, preflight } = stack;
    const operator = stack.operator;
    if (part === "preflight") stack.preflight = stuck;
    if (part === "up") stack.up = stuck;
    if (part === "verify") stack.verify = stuck;
    if (part === "rollback") {
      stack.verify = failsOnNew;
      stack.up = (images) => (images["vectorStore"] === NEW ? Promise.resolve(undefined) : stuck());
    }
    const makePlan = part === "plan" ? stuck : operator.makePlan;
    const request = {
      stack: "test",
      only: undefined,
      plan: undefined,
      emergency: false,
      reason: "",
      yes: true,
    };
    void deploy(request, { ...operator, makePlan });
    await reached.promise;
    Object.assign(stack, { up, verify, preflight });
    stack.alive.delete(4001);
    stack.identity = { ...stack.identity, process: 4002 };
    stack.alive.add(4002);
  }

  it.each(["preflight", "plan"] as const)(
    "leaves nothing behind when it is killed at its %s",
    async (part) => {
      await killedAt(part);

      expect(await run()).toMatchObject({ exitCode: 0 });
      expect((await stack.releases()).map(({ outcome }) => outcome)).toEqual(["succeeded", "succeeded"]);
      expect(stack.printed.join("\n")).toContain(
        "took over the lock that your killed command had left: alice@laptop since",
      );
      expect(await stack.history()).toContain(
        "unlock: verrou laissé par une commande interrompue de alice@laptop, repris",
      );
    },
  );

  it.each(["up", "verify", "rollback"] as const)(
    "is recorded as failed by the next one when it was killed at its %s",
    async (part) => {
      await killedAt(part);

      expect(await run()).toMatchObject({ exitCode: 0 });
      expect(await stack.releases()).toMatchObject([
        { number: 1, outcome: "succeeded" },
        { number: 2, outcome: "failed", failure: "interrompue : la commande a été tuée avant la fin" },
        { number: 3, outcome: "succeeded", images: { vectorStore: pulled(NEW) } },
      ]);
      expect(await stack.history()).toContain(
        "deploy: version 2 interrompue : la commande a été tuée avant la fin",
      );
      expect(stack.printed.join("\n")).toContain("release 2 of alice@laptop was killed: recorded as failed");
    },
  );

  it("keeps its lock on another machine until somebody releases it", async () => {
    await killedAt("up");
    stack.identity = { who: "bob@desk", run: "", process: 1 };
    await stack.server.run({
      purpose: "let time pass",
      script: `touch --date "10 minutes ago" "$RECORDS_FOLDER/lock/lease"`,
      variables: { RECORDS_FOLDER },
    });

    await expect(run()).rejects.toThrow(
      /last sign of life 60\d s ago; it died; free it with npm run unlock -- test --holder alice@laptop$/,
    );
  });
});

describe("a verification", () => {
  it("compares with the preflight, and without one with the last good release", async () => {
    const counted = { ...ok, id: "functional-webhooks", measures: { workflows: 3 } };
    const earlier: (readonly Check[] | undefined)[] = [];
    stack.verify = (context) => {
      earlier.push(context.earlier);
      return Promise.resolve([counted]);
    };
    await run();
    await run({ only: "verify" });

    expect(earlier).toEqual([[ok, unknown], [counted]]);
  });
});

describe("deploy --only", () => {
  beforeEach(async () => {
    await run();
    stack.parts.length = stack.calls.length = 0;
  });

  it("preflight checks and changes nothing", async () => {
    expect(await run({ only: "preflight" })).toEqual({
      text: "preflight: 1 ok, 0 failed, 1 not checked\n  not checked  Sauvegardes: aucune",
      exitCode: 0,
    });
    stack.preflight = () => Promise.resolve([failing]);
    expect(await run({ only: "preflight" })).toMatchObject({ exitCode: 3 });
    expect(stack.parts).toEqual(["preflight", "preflight"]);
    expect(await stack.history()).toHaveLength(1);
  });

  it("plan prints what would change", async () => {
    expect(await run({ only: "plan" })).toMatchObject({ exitCode: 0 });
    expect(stack.printed).toContain("1 to update");
    expect(stack.ups).toEqual([]);
  });

  it("window prints whether it is open", async () => {
    expect(await run({ only: "window" })).toEqual({
      text: "the window of test is open until Tuesday 2026-11-24 12:00 UTC",
      exitCode: 0,
    });
    stack.now = new Date("2026-11-27T10:00:00Z");
    expect(await run({ only: "window" })).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("not on a friday") as string,
    });
  });

  it("up deploys and records a release that does not count as verified", async () => {
    const outcome = await run({ only: "up" });

    expect(outcome.exitCode).toBe(0);
    expect(outcome.text).toContain("it was not verified");
    expect(stack.parts).toEqual(["plan", "up"]);
    expect(await stack.lastRelease()).toMatchObject({ number: 2, outcome: "succeeded", verify: [] });
    expect((await stack.history()).at(-1)).toBe(
      "deploy: version 2 en service : mêmes images (sans vérification)",
    );
  });

  it("verify verifies what runs, and rolls nothing back", async () => {
    expect(await run({ only: "verify" })).toMatchObject({ exitCode: 0 });
    stack.verify = () => Promise.resolve([failing]);
    expect(await run({ only: "verify" })).toMatchObject({ exitCode: 1 });
    expect(stack.ups).toEqual([]);
  });

  it("record records what runs", async () => {
    expect(await run({ only: "record" })).toMatchObject({ exitCode: 0 });
    expect(await stack.lastRelease()).toMatchObject({ number: 2, images: { vectorStore: pulled(OLD) } });
    expect(stack.ups).toEqual([]);
  });

  it("record fails where nothing is deployed", async () => {
    stack.deployed = false;

    expect(await run({ only: "record" })).toEqual({
      text: "test: there is no server to record the release on; deploy the stack first",
      exitCode: 1,
    });
  });
});

describe("corrupt records", () => {
  it("are reported and kept, and later numbers follow theirs", async () => {
    await run();
    const folder = join(stack.server.folder, "releases");
    await writeFile(join(folder, "000007.json"), "{ not JSON");
    await run();

    expect(stack.printed).toContain(
      "/var/lib/technicia/releases/000007.json: expected a release as JSON, got another text; it was ignored and left as it is",
    );
    expect(await stack.lastRelease()).toMatchObject({ number: 8, outcome: "succeeded" });
    expect(await readFile(join(folder, "000007.json"), "utf8")).toBe("{ not JSON");
  });
});

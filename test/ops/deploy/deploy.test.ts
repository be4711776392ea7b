import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { LockRefusal, readLock, takeLock } from "../../../ops/server/lock.ts";
import { PLACE } from "../../../ops/server/records-folder.ts";
import type { DeployRequest } from "../../../ops/deploy/release-progress.ts";
import { ill, ok, pulled, Scene, unknown } from "./scene.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async () => {
  await scene[Symbol.asyncDispose]();
});

function run(request: Partial<DeployRequest> = {}) {
  const whole = { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true };
  return deploy({ ...whole, ...request }, scene.operator);
}

const OLD = "technicia/vector-store:1.0.0";
const NEW = "technicia/vector-store:1.0.1";

/** A stack that runs release 1, with the settings asking for another vector-store. */
async function withNewVersion(): Promise<void> {
  await run();
  scene.setImage("vectorStore", NEW);
  scene.parts.length = scene.calls.length = scene.said.length = 0;
}

/** Verification that fails as long as the new version runs. */
const failsOnNew = () => Promise.resolve([scene.images["vectorStore"] === pulled(NEW) ? ill : ok]);

describe("deploy", () => {
  it("goes through every part in order, and records what runs", async () => {
    const outcome = await withNewVersion().then(() => run());

    expect(scene.parts).toEqual(["preflight", "plan", "up", "verify"]);
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(outcome.text).toMatch(/^release 2 \(0123456789ab\): .*vectorStore 1\.0\.1@sha256:/);
    expect(outcome.text).toContain("preflight 5.0 s, plan 10.0 s, up 60.0 s, verify 20.0 s");
    expect(await scene.lastRelease()).toMatchObject({
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
    expect((await scene.history()).at(-1)).toMatch(
      /^deploy: version 2 en service : vectorStore 1\.0\.0@\S+ → 1\.0\.1@\S+$/,
    );
  });

  it("applies the plan that it has just made, without a second preview", async () => {
    await run();

    expect(scene.ups).toHaveLength(1);
    expect(scene.ups[0]!.args).toEqual(
      expect.arrayContaining(["--skip-preview", "--plan", "/scratch/plan.json"]),
    );
  });

  it("holds the lock while it works, and nobody has it afterwards", async () => {
    await run();
    const during: string[] = [];
    scene.verify = async () => {
      during.push((await readLock(scene.server))!.holder.why);
      return [ok];
    };
    await run({ reason: "ticket 12" });

    expect(during).toEqual(["deploy: ticket 12"]);
    expect(await readLock(scene.server)).toBeUndefined();
    expect(await readdir(scene.server.folder)).toEqual(["history.jsonl", "releases"]);
  });

  it("refuses when a check fails before anything was changed, and keeps that in the audit", async () => {
    await run();
    scene.preflight = () => Promise.resolve([ok, ill, unknown]);
    scene.parts.length = 0;
    const outcome = await run();

    expect(outcome.exitCode).toBe(3);
    expect(outcome.text).toContain("preflight: 1 ok, 1 failed, 1 not checked");
    expect(outcome.text).toContain("  failed       Application accessible: 500");
    expect(outcome.text).toContain("  not checked  Sauvegardes: aucune");
    expect(scene.parts).toEqual(["preflight"]);
    expect(await scene.releases()).toHaveLength(1);
    expect((await scene.history()).at(-1)).toBe(
      "deploy: refusé : contrôle préalable en échec (Application accessible)",
    );
    expect(await readLock(scene.server)).toBeUndefined();
  });

  it("refuses outside of the window, with the next opening", async () => {
    await run();
    scene.now = new Date("2026-11-26T12:00:00Z");
    const outcome = await run();

    expect(outcome.exitCode).toBe(3);
    expect(outcome.text).toBe(
      "the window of test is closed, because it opens from 09:00 to 12:00 UTC; next opening: Tuesday 2026-12-01 09:00 UTC\n" +
        'in an emergency go on with --emergency --reason "…", which is recorded',
    );
    expect(scene.ups).toHaveLength(1);
    expect((await scene.history()).at(-1)).toBe(
      "deploy: refusé : fenêtre fermée, prochaine ouverture : 2026-12-01T09:00:00.000Z",
    );
  });

  it("passes the window and failed checks in an emergency, and records that it was one", async () => {
    await run();
    scene.now = new Date("2026-11-28T23:00:00Z");
    scene.preflight = () => Promise.resolve([ill]);
    const outcome = await run({ emergency: true, reason: "certificate expired" });

    expect(outcome.exitCode).toBe(0);
    expect(scene.said.join("\n")).toContain("an emergency: goes on in spite of 1 failed checks");
    expect(await scene.lastRelease()).toMatchObject({
      emergency: true,
      reason: "certificate expired",
      preflight: [ill],
    });
    expect(await scene.history()).toContain("emergency: version 2 : déploiement d'urgence");
  });

  it("changes nothing when nobody confirms", async () => {
    scene.confirms = false;

    expect(await run({ yes: false })).toEqual({ text: "nothing was changed", exitCode: 3 });
    expect(scene.ups).toEqual([]);
  });

  it("stops when there is no plan", async () => {
    scene.planFailure = "the program fails";

    expect(await run()).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("the program fails") as string,
    });
    expect(scene.ups).toEqual([]);
  });

  it("applies a reviewed plan, and lets the engine look first whether it still fits", async () => {
    await run({ plan: "reviewed" });

    expect(scene.parts).not.toContain("plan");
    expect(scene.ups[0]!.args).toEqual(expect.arrayContaining(["--plan", "reviewed/plan.json"]));
    expect(scene.ups[0]!.args).not.toContain("--skip-preview");
  });

  it("refuses a reviewed plan that no longer fits, and says what changed", async () => {
    scene.planChanges = ["the stack's settings are others than the plan's"];
    const outcome = await run({ plan: "reviewed" });

    expect(outcome).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("the stack's settings are others") as string,
    });
    expect(scene.ups).toEqual([]);
  });

  it("says and records what a killed run of the engine had left pending", async () => {
    await run();
    scene.pending = { adopted: ["a"], forgotten: ["b", "c"], refreshed: [] };
    await run();

    expect(await scene.history()).toContain("resume: reprise : 1 ressources adoptées, 2 à refaire, 0 relues");
  });
});

describe("a changed secret", () => {
  it("is in the audit by its name", async () => {
    await run();
    scene.recorded = "secret";
    await run({ reason: "key rotated" });

    expect(await scene.history()).toContain(
      "secret: secrets changés : technicia-vector-store-voyage-api-key",
    );
  });

  it("is not made up where there is none", async () => {
    await run();
    scene.recorded = "bump";
    await run();

    expect((await scene.history()).filter((line) => line.startsWith("secret"))).toEqual([]);
  });
});

describe("Docker's plugin", () => {
  it("finds a login before the update, and before the one that puts the previous release back", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    const before: (string | undefined)[] = [];
    scene.up = () => Promise.resolve(void before.push(scene.server.purposes.at(-1)));

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(before).toEqual(["log in for Docker", "log in for Docker"]);
  });
});

describe("a first deployment", () => {
  it("is recorded, and locked, as soon as there is a server", async () => {
    scene.up = async () => {
      expect(scene.server.purposes).toEqual([]);
      return Promise.resolve(undefined);
    };
    scene.verify = async () => {
      expect(await readLock(scene.server)).toBeDefined();
      return [ok];
    };

    expect(await run()).toMatchObject({ exitCode: 0 });
    expect(await scene.lastRelease()).toMatchObject({
      number: 1,
      outcome: "succeeded",
      startedAt: "2026-11-24T10:00:00.000Z",
    });
  });

  it("that fails its verification has nothing to go back to", async () => {
    scene.verify = () => Promise.resolve([ill]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "no earlier release has passed its verification: there is nothing to go back to",
    );
    expect(await scene.lastRelease()).toMatchObject({ number: 1, outcome: "failed", verify: [ill] });
  });

  it("that fails half way leaves no record where there is no server", async () => {
    scene.up = () => Promise.resolve({ said: "the cloud is closed", changed: true });
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("the cloud is closed");
    expect(outcome.text).toContain("it was the first deployment: there is nothing to go back to");
    expect(scene.server.purposes).toEqual([]);
  });
});

describe("a release that turns out ill", () => {
  it("is rolled back by itself, verified again, and recorded", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain(
      "test: expected the release to pass its verification, got 1 failed checks",
    );
    expect(outcome.text).toContain("release 1 serves again");
    expect(outcome.text).toContain("Pulumi.test.yaml still asks for what failed");
    expect(outcome.text).toContain("rollback 60.0 s, rollbackVerify 20.0 s");
    expect(scene.images["vectorStore"]).toBe(pulled(OLD));
    expect(await scene.lastRelease()).toMatchObject({
      number: 2,
      outcome: "rolled-back",
      restored: 1,
      verify: [ill],
      images: { vectorStore: pulled(NEW) },
      failure: "vérification en échec : Application accessible (500)",
      restoredVerify: [ok, { id: "rollback-time", outcome: "ok", measures: { rollbackSeconds: 80 } }],
    });
    expect((await scene.history()).at(-1)).toBe(
      "rollback: version 2 en échec (vérification en échec : Application accessible (500)), version 1 remise en service en 80 s",
    );
  });

  it("opens an incident with what was seen, and says so", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    await run();

    expect(scene.incidents).toMatchObject([
      {
        stack: "test",
        priority: "Moyenne",
        description: "vérification en échec : Application accessible (500)",
        symptoms: ["Application accessible : 500"],
        impact: "la version 1 sert à nouveau ; la version 2 n'est pas livrée",
      },
    ]);
    expect(scene.incidents[0]?.diagnostics).toContain(`vectorStore : ${pulled(NEW)}`);
    expect(scene.said).toContain("opened DEPLOY-001 in docs/deployment-issues.md");
    expect(await scene.history()).toContain("incident: DEPLOY-001 ouvert : version 2");
  });

  it("is recorded also when the issues document cannot be written", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    scene.bookFault = "docs/deployment-issues.md:12: expected a table, got none";

    expect((await run()).exitCode).toBe(4);
    expect(await scene.lastRelease()).toMatchObject({ outcome: "rolled-back" });
    expect(scene.said).toContain(
      "no incident was opened: docs/deployment-issues.md:12: expected a table, got none",
    );
  });

  it("is put back from a copy of the settings: images by digest, secrets as they were, the file itself untouched", async () => {
    await withNewVersion();
    const file = scene.settings;
    scene.verify = failsOnNew;
    await run();

    const applied = parse(scene.applied) as { encryptionsalt: string; config: Record<string, unknown> };
    expect(applied.encryptionsalt).toBe("v1:salt");
    expect(applied.config["technicia:voyageApiKey"]).toEqual({ secure: "v1:cipher" });
    expect(applied.config["technicia:images"]).toMatchObject({ vectorStore: pulled(OLD) });
    expect(scene.settings).toBe(file);
    const args = scene.ups.at(-1)!.args;
    expect(args).toContain("--skip-preview");
    expect(args).not.toContain("--refresh");
    expect(args).not.toContain("--plan");
  });

  it("gets the settings back by which the earlier one ran, but not its choice of database", async () => {
    await run();
    const file = parse(scene.settings) as {
      config: { "technicia:services": { n8n: { database: string; memoryMib: number } } };
    };
    const { n8n } = file.config["technicia:services"];
    n8n.memoryMib = 64;
    n8n.database = "postgres";
    scene.settings = JSON.stringify(file);
    scene.verify = () => Promise.resolve([parts().n8n.memoryMib === 64 ? ill : ok]);
    const parts = () =>
      (
        parse(scene.applied) as {
          config: { "technicia:services": { n8n: { memoryMib: number; database: string } } };
        }
      ).config["technicia:services"];

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(parts().n8n).toMatchObject({ memoryMib: 1280, database: "postgres" });
  });

  it("whose update fails half way is rolled back with a look at what is really there", async () => {
    await withNewVersion();
    scene.up = (images) =>
      Promise.resolve(
        images["vectorStore"] === NEW ? { said: "the task never got healthy", changed: true } : undefined,
      );
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("the task never got healthy");
    expect(scene.ups.at(-1)!.args).toContain("--refresh");
    expect(scene.parts).toEqual(["preflight", "plan", "up", "up", "verify"]);
    expect(await scene.lastRelease()).toMatchObject({ outcome: "rolled-back", verify: [] });
  });

  it("whose update fails before it changes anything is left at that", async () => {
    await withNewVersion();
    scene.up = () => Promise.resolve({ said: "no credentials", changed: false });
    const outcome = await run();

    expect(outcome).toMatchObject({
      exitCode: 1,
      text: expect.stringContaining("nothing was changed") as string,
    });
    expect(scene.ups).toHaveLength(1);
    expect(await scene.lastRelease()).toMatchObject({
      outcome: "failed",
      failure: "la mise à jour a échoué : error: no credentials ; rien n'a été changé",
    });
  });

  it("is not rolled back to what it is itself", async () => {
    await run();
    scene.verify = () => Promise.resolve([ill]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "release 1 had the same images and settings: going back to it would change nothing",
    );
    expect(scene.ups).toHaveLength(2);
  });

  it("fails when the earlier one is ill too", async () => {
    await withNewVersion();
    scene.verify = () => Promise.resolve([ill]);
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("release 1 was put back, and is not well: its verification fails too");
    expect(await scene.lastRelease()).toMatchObject({ outcome: "failed", restored: 1 });
  });

  it("fails when the engine cannot put the earlier one back", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    scene.up = (images) =>
      Promise.resolve(images["vectorStore"] === NEW ? undefined : { said: "disk full", changed: true });
    const outcome = await run();

    expect(outcome).toMatchObject({ exitCode: 1, text: expect.stringContaining("disk full") as string });
  });

  it("says when going back took longer than promised", async () => {
    await withNewVersion();
    scene.verify = failsOnNew;
    scene.upSeconds = 290;
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain(
      "expected to be back within 300 s (operations.thresholds.rollbackSeconds), got 310 s",
    );
    expect((await scene.lastRelease()).restoredVerify.at(-1)).toMatchObject({
      id: "rollback-time",
      outcome: "failed",
    });
  });

  it("goes back to the last good one, past those that failed or were not verified", async () => {
    await run();
    scene.setImage("vectorStore", "technicia/vector-store:1.0.1");
    await run({ only: "up" });
    scene.setImage("vectorStore", "technicia/vector-store:1.0.2");
    scene.verify = () => Promise.resolve([scene.images["vectorStore"] === pulled(OLD) ? ok : ill]);

    expect(await run()).toMatchObject({ exitCode: 4 });
    expect(await scene.lastRelease()).toMatchObject({ number: 3, restored: 1 });
  });

  it("warns that data stays as the newer version left it", async () => {
    await run();
    scene.setImage("qdrant", "qdrant/qdrant:v1.20.0");
    scene.verify = () => Promise.resolve([scene.images["qdrant"]?.includes("v1.20") ? ill : ok]);
    await run();

    expect(scene.said).toContain(
      "qdrant goes from v1.20.0 back to v1.19.0: its data stays as v1.20.0 left it",
    );
  });
});

describe("one deployment at a time", () => {
  it("lets one of two that start together through", async () => {
    await run();
    const started = Promise.withResolvers<void>();
    const proceed = Promise.withResolvers<void>();
    scene.preflight = async () => {
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
    expect(await scene.releases()).toHaveLength(2);
  });

  it("names the run of the CI that has it", async () => {
    await run();
    const identity = { who: "bob@github", run: "https://github.com/o/r/actions/runs/7", process: 1 };
    await takeLock(scene.server, { stack: "test", identity, why: "deploy: x", isAlive: () => true });

    await expect(run()).rejects.toThrow("got bob@github (https://github.com/o/r/actions/runs/7) since");
  });

  it("stops when its lock is broken, and says so in the record", async () => {
    await run();
    scene.verify = async ({ signal }) => {
      await scene.server.run({
        purpose: "break the lock",
        script: `rm -r "$PLACE/lock"`,
        variables: { PLACE },
      });
      const lost = new Promise((resolve) => signal.addEventListener("abort", resolve));
      scene.tick();
      await lost;
      return [ok];
    };
    const outcome = run();

    await expect(outcome).rejects.toThrow("test: somebody broke the deployment lock of this command");
    expect(await scene.lastRelease()).toMatchObject({
      outcome: "failed",
      failure: expect.stringContaining("interrompue") as string,
    });
  });
});

describe("an interrupted deployment", () => {
  it("rolls nothing back, and is recorded as broken off", async () => {
    await withNewVersion();
    scene.up = () => {
      scene.stop.abort(new Error("interrupted by the operator"));
      return Promise.resolve({ said: "update cancelled", changed: true });
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(scene.ups).toHaveLength(1);
    expect((await scene.lastRelease()).failure).toMatch(/^interrompue par l'opérateur ; .*update cancelled$/);
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
    const { up, verify, preflight } = scene;
    const operator = scene.operator;
    if (part === "preflight") scene.preflight = stuck;
    if (part === "up") scene.up = stuck;
    if (part === "verify") scene.verify = stuck;
    if (part === "rollback") {
      scene.verify = failsOnNew;
      scene.up = (images) => (images["vectorStore"] === NEW ? Promise.resolve(undefined) : stuck());
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
    Object.assign(scene, { up, verify, preflight });
    scene.alive.delete(4001);
    scene.identity = { ...scene.identity, process: 4002 };
    scene.alive.add(4002);
  }

  it.each(["preflight", "plan"] as const)("at its %s is run again as if nothing had been", async (part) => {
    await killedAt(part);

    expect(await run()).toMatchObject({ exitCode: 0 });
    expect((await scene.releases()).map(({ outcome }) => outcome)).toEqual(["succeeded", "succeeded"]);
    expect(scene.said.join("\n")).toContain(
      "took over the lock that your killed command had left: alice@laptop since",
    );
    expect(await scene.history()).toContain(
      "unlock: verrou laissé par une commande interrompue de alice@laptop, repris",
    );
  });

  it.each(["up", "verify", "rollback"] as const)(
    "at its %s is closed as failed, and the next goes on",
    async (part) => {
      await killedAt(part);

      expect(await run()).toMatchObject({ exitCode: 0 });
      expect(await scene.releases()).toMatchObject([
        { number: 1, outcome: "succeeded" },
        { number: 2, outcome: "failed", failure: "interrompue : la commande a été tuée avant la fin" },
        { number: 3, outcome: "succeeded", images: { vectorStore: pulled(NEW) } },
      ]);
      expect(await scene.history()).toContain(
        "deploy: version 2 interrompue : la commande a été tuée avant la fin",
      );
      expect(scene.said.join("\n")).toContain(
        "release 2 of alice@laptop was killed before its end: recorded as failed",
      );
    },
  );

  it("on another machine keeps its lock until somebody frees it", async () => {
    await killedAt("up");
    scene.identity = { who: "bob@desk", run: "", process: 1 };
    await scene.server.run({
      purpose: "let time pass",
      script: `touch --date "10 minutes ago" "$PLACE/lock/lease"`,
      variables: { PLACE },
    });

    await expect(run()).rejects.toThrow(
      /last sign of life 60\d s ago; it died; free it with npm run unlock -- test --holder alice@laptop$/,
    );
  });
});

describe("deploy --only", () => {
  beforeEach(async () => {
    await run();
    scene.parts.length = scene.calls.length = 0;
  });

  it("preflight checks and changes nothing", async () => {
    expect(await run({ only: "preflight" })).toEqual({
      text: "preflight: 1 ok, 0 failed, 1 not checked\n  not checked  Sauvegardes: aucune",
      exitCode: 0,
    });
    scene.preflight = () => Promise.resolve([ill]);
    expect(await run({ only: "preflight" })).toMatchObject({ exitCode: 3 });
    expect(scene.parts).toEqual(["preflight", "preflight"]);
    expect(await scene.history()).toHaveLength(1);
  });

  it("plan tells what would change", async () => {
    expect(await run({ only: "plan" })).toMatchObject({ exitCode: 0 });
    expect(scene.said).toContain("1 to update");
    expect(scene.ups).toEqual([]);
  });

  it("window tells whether it is open", async () => {
    expect(await run({ only: "window" })).toEqual({
      text: "the window of test is open until Tuesday 2026-11-24 12:00 UTC",
      exitCode: 0,
    });
    scene.now = new Date("2026-11-27T10:00:00Z");
    expect(await run({ only: "window" })).toMatchObject({
      exitCode: 3,
      text: expect.stringContaining("not on a friday") as string,
    });
  });

  it("up deploys and records, without a verification that would make it good", async () => {
    const outcome = await run({ only: "up" });

    expect(outcome.exitCode).toBe(0);
    expect(outcome.text).toContain("it was not verified");
    expect(scene.parts).toEqual(["plan", "up"]);
    expect(await scene.lastRelease()).toMatchObject({ number: 2, outcome: "succeeded", verify: [] });
    expect((await scene.history()).at(-1)).toBe(
      "deploy: version 2 en service : mêmes images (sans vérification)",
    );
  });

  it("verify verifies what runs, and rolls nothing back", async () => {
    expect(await run({ only: "verify" })).toMatchObject({ exitCode: 0 });
    scene.verify = () => Promise.resolve([ill]);
    expect(await run({ only: "verify" })).toMatchObject({ exitCode: 1 });
    expect(scene.ups).toEqual([]);
  });

  it("record writes down what runs", async () => {
    expect(await run({ only: "record" })).toMatchObject({ exitCode: 0 });
    expect(await scene.lastRelease()).toMatchObject({ number: 2, images: { vectorStore: pulled(OLD) } });
    expect(scene.ups).toEqual([]);
  });

  it("record fails where nothing is deployed", async () => {
    scene.deployed = false;

    expect(await run({ only: "record" })).toEqual({
      text: "test: expected a server to record the release on, got none; deploy it first",
      exitCode: 1,
    });
  });
});

describe("corrupt records", () => {
  it("are told and kept, and the numbers go on after them", async () => {
    await run();
    const folder = join(scene.server.folder, "releases");
    await writeFile(join(folder, "000007.json"), "{ not JSON");
    await run();

    expect(scene.said).toContain(
      "/var/lib/technicia/releases/000007.json: expected a release as JSON, got another text; it was left as it is and not counted",
    );
    expect(await scene.lastRelease()).toMatchObject({ number: 8, outcome: "succeeded" });
    expect(await readFile(join(folder, "000007.json"), "utf8")).toBe("{ not JSON");
  });
});

/** Restores of a deployment in use: everything, a part, taken back, and after an interruption. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { addData, counted, countSet, onQdrant, POINTS, type Counts } from "./data.ts";
import { history, npm, start } from "./deployments.ts";
import { askHealth, ensureStarted, expectQuiet, onServer, restart, startAgain, until } from "./rehearsal.ts";

let before: Counts;
let set: string;

beforeAll(async () => {
  await ensureStarted();
  await addData();
  ({ counts: before, id: set } = await countSet());
});
afterAll(startAgain);

const run = async (...words: string[]) => {
  const { code, stdout, stderr } = await npm(words[0]!, "--", "test", ...words.slice(1));
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return `${stdout}\n${stderr}`;
};

/** What a mistake deletes: half of the points, and a workflow. */
async function loseData(): Promise<void> {
  await onQdrant("POST", "/points/delete?wait=true", {
    points: Array.from({ length: POINTS / 2 }, (_, at) => at),
  });
  await onServer(`
python3 - <<'P'
import sqlite3
connection = sqlite3.connect("/var/lib/docker/volumes/technicia-n8n-data/_data/database.sqlite", timeout=60)
connection.execute("delete from workflow_entity where id = 'recovery-question'")
connection.commit()
P`);
}

const replicas = async () =>
  (await onServer("docker service ls --format '{{.Name}} {{.Replicas}}' | sort")).trim().split("\n");

async function expectHealthy(): Promise<void> {
  await until("TechnicIA to answer", async () => {
    await askHealth();
    return true;
  });
  expect((await replicas()).filter((line) => !line.endsWith(" 1/1"))).toEqual([]);
  await expectQuiet();
}

describe("a restore", () => {
  it("asks first, and changes nothing where nobody agrees", async () => {
    await loseData();
    const lost = await counted();
    expect(lost.qdrant).toEqual({ technicia: before["qdrant"]!["technicia"]! - POINTS / 2 });

    const { code, stdout, stderr } = await npm("restore", "--", "test");

    expect(code).toBe(1);
    expect(`${stdout}${stderr}`).toMatch(/what was written in the last \d+ minutes is lost/);
    expect(await counted()).toEqual(lost);
  });

  it("brings everything back, is recorded, and leaves nothing to change", async () => {
    const said = await run("restore", "--yes");

    expect(said).toMatch(/what writes to it stood still for [\d.]+ s/);
    expect(await counted()).toMatchObject({
      qdrant: before["qdrant"],
      workflows: before["n8n"]!["workflows"],
    });
    expect((await history()).events.at(-1)).toMatchObject({ action: "restore" });
    await expectHealthy();
  });

  it("is taken back, and comes again in part", async () => {
    await run("restore", "--undo", "--yes");
    const lost = await counted();
    expect(lost.workflows).toBe(before["n8n"]!["workflows"]! - 1);

    await run("restore", "--set", set.slice(0, 8), "--only", "qdrant", "--yes");

    expect(await counted()).toEqual({ qdrant: before["qdrant"], workflows: lost.workflows });
    await run("restore", "--only", "n8n", "--yes");
    expect((await counted()).workflows).toBe(before["n8n"]!["workflows"]);
    await expectHealthy();
  });

  it("refuses a set that is not there, before anything stands still", async () => {
    const { code, stderr } = await npm("restore", "--", "test", "--set", "0123456789", "--yes");

    expect(code).not.toBe(0);
    expect(stderr).toContain("--set: expected a set of the repository, got 0123456789");
    expect((await replicas()).filter((line) => !line.endsWith(" 1/1"))).toEqual([]);
  });
});

describe("an interrupted restore", () => {
  it("goes on without the operator's machine, and another waits for its end", async () => {
    await loseData();
    await start("restore", (line, kill) => {
      if (line.includes("stopping technicia-n8n")) kill();
    });

    await run("restore", "--set", set, "--yes");

    expect(await counted()).toMatchObject({
      qdrant: before["qdrant"],
      workflows: before["n8n"]!["workflows"],
    });
    await expectHealthy();
  });

  it("keeps its services still over a restart of the server, makes no set meanwhile, and is finished by the same command", async () => {
    await loseData();
    let isRestarted: Promise<unknown> | undefined;
    await start("restore", (line) => {
      if (line.includes("stopping technicia-n8n")) isRestarted ??= restart();
    });
    await isRestarted;
    await until("Docker to answer after the restart", async () => (await replicas()).length > 2, 120);
    expect(await replicas()).toContain("technicia-n8n 0/0");
    const refused = await npm("backup", "--", "test");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("was interrupted: finish it with npm run restore -- test --set");

    await run("restore", "--yes");

    expect(await counted()).toMatchObject({
      qdrant: before["qdrant"],
      workflows: before["n8n"]!["workflows"],
    });
    await expectHealthy();
    const drift = await npm("drift", "--", "test");
    expect(drift.code, `${drift.stdout}\n${drift.stderr}`).toBe(0);
  });
});

describe("an interrupted backup", () => {
  it("is followed by one that is whole", async () => {
    await onServer("systemctl start --no-block technicia-backup.service");
    await until(
      "restic to run",
      async () => (await onServer("docker ps --quiet --filter name=technicia-backup")) !== "",
    );
    await onServer("systemctl kill --signal KILL technicia-backup.service");

    const { counts } = await countSet();

    expect(counts).toEqual(before);
    await run("drill");
  });
});

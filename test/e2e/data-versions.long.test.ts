import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { counted, onQdrant } from "./data.ts";
import { deploy, lastRelease, npm } from "./deployments.ts";
import { askHealth, ensureStarted, expectQuiet, onServer, set, startAgain, up } from "./rehearsal.ts";

const OLD = "qdrant/qdrant:v1.19.0-unprivileged";
const NEXT = "qdrant/qdrant:v1.19.1-unprivileged";

beforeAll(async () => {
  await ensureStarted();
  // A release that one can go back to.
  const { code, stdout, stderr } = await deploy();
  expect(code, `${stdout}\n${stderr}`).toBe(0);
});
// Rewrites the settings, which reverts what the tests changed.
afterAll(startAgain);

const image = () =>
  onServer("docker service inspect technicia-qdrant --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'");

const points = async () => (await counted()).qdrant["technicia"];

describe("the versions of a database, with their data", () => {
  let before: number | undefined;

  it("go on by npm run upgrade, with every point", async () => {
    before = await points();
    const { code, stdout, stderr } = await npm("upgrade", "--", "test", "qdrant", "1.19.1", "--yes");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(`${stdout}${stderr}`).toContain("Qdrant 1.19.1 has the same counts");
    expect(await image()).toContain(`${NEXT}@sha256:`);
    expect(await points()).toBe(before);
    await expectQuiet();
  });

  it("go back by npm run rollback --with-data, without what was written since", async () => {
    await onQdrant("PUT", "/points?wait=true", {
      points: [{ id: 9_000_001, vector: Array(1024).fill(0.5), payload: {} }],
    });
    const words = ["--with-data", "--reason", "rehearsal of a rollback", "--yes"];
    const { code, stdout, stderr } = await npm("rollback", "--", "test", ...words);

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(`${stdout}${stderr}`).toContain("is lost");
    expect(await image()).toContain(`${OLD}@sha256:`);
    expect(await points()).toBe(before);
    expect((await lastRelease()).set).toMatch(/^[0-9a-f]{64}$/);
    await askHealth();
    // A rollback names images by their digests, the settings by their versions.
    await set("technicia:images.qdrant", OLD);
    await up("--refresh");
    await expectQuiet();
  });

  it("come again, with what they had written, by npm run restore --undo", async () => {
    const { code, stdout, stderr } = await npm("restore", "--", "test", "--undo", "--yes");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(await image()).toContain(`${NEXT}@sha256:`);
    expect(await points()).toBe(before! + 1);
    await set("technicia:images.qdrant", NEXT);
    await up("--refresh");
    await expectQuiet();
  });
});

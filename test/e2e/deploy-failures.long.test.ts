import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { deploy, history, IMAGE, lastRelease, npm, runningImage, startDeploy } from "./deployments.ts";
import {
  askHealth,
  ensureStarted,
  startAgain,
  expectQuiet,
  operator,
  set,
  traffic,
  withFewLogins,
} from "./rehearsal.ts";

const WEEK = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"] as const;

beforeAll(async () => {
  await ensureStarted();
  // Something to go back to.
  const { code, stdout, stderr } = await deploy();
  if (code !== 0) throw new Error(`npm run deploy ended with ${code}\n${stdout}\n${stderr}`);
});
afterAll(startAgain);

describe("a deployment", () => {
  it("rolls back a release that answers 500, while the old release serves throughout", async () => {
    const before = await runningImage();
    await set(IMAGE, "technicia/vector-store:1.0.3-faulty");
    const asking = traffic(askHealth);
    // The plan, the release, and the plan of the way back with its run.
    const { code, stdout, stderr } = await withFewLogins(deploy, 6);
    const { asked, failures } = await asking.stop();

    expect(code, `${stdout}\n${stderr}`).toBe(4);
    expect(await runningImage()).toBe(before);
    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(100);
    const release = await lastRelease();
    expect(release).toMatchObject({ outcome: "rolled-back", restored: release.number - 1 });
    const { rollback = 0, rollbackVerify = 0 } = release.seconds;
    console.log(
      `rollback ${rollback.toFixed(1)} s, verified in ${rollbackVerify.toFixed(1)} s, ${asked} requests`,
    );
    expect(rollback + rollbackVerify).toBeLessThan(300);
    await set(IMAGE, "technicia/vector-store:1.0.0");
  });

  it("rolls back a release whose service never becomes healthy", async () => {
    const before = await runningImage();
    await set(IMAGE, "technicia/vector-store:1.0.2-sick");
    const asking = traffic(askHealth);
    const { code, stdout, stderr } = await deploy();
    const { failures } = await asking.stop();

    expect(code, `${stdout}\n${stderr}`).toBe(4);
    expect(failures).toEqual([]);
    expect(await runningImage()).toBe(before);
    await set(IMAGE, "technicia/vector-store:1.0.0");
  });

  it("is rolled back by hand, with a reason", async () => {
    const before = await runningImage();
    await set(IMAGE, "technicia/vector-store:1.0.1");
    expect((await deploy()).code).toBe(0);
    expect(await runningImage()).toContain(":1.0.1@");

    const without = await npm("rollback", "--", "test", "--yes");
    expect(without.code).not.toBe(0);
    expect(without.stderr).toContain("--reason");
    const { code, stdout, stderr } = await npm("rollback", "--", "test", "--yes", "--reason", "essai");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(await runningImage()).toBe(before);
    expect(await lastRelease()).toMatchObject({ kind: "rollback", reason: "essai", outcome: "succeeded" });
    await set(IMAGE, "technicia/vector-store:1.0.0");
  });

  it("is refused outside the window, says when it opens, and passes in an emergency", async () => {
    const other = WEEK[(new Date().getUTCDay() + 3) % 7]!;
    await set("technicia:operations.window.days[0]", other);
    await set("technicia:operations.window.fromUtc", "09:00");
    await set("technicia:operations.window.toUtc", "12:00");
    const refused = await deploy();
    expect(refused.code, refused.stderr).toBe(3);
    expect(refused.stdout + refused.stderr).toMatch(/\d{4}-\d{2}-\d{2}.*09:00/);

    const passed = await deploy("--emergency", "--reason", "panne en production");
    expect(passed.code, `${passed.stdout}\n${passed.stderr}`).toBe(0);
    expect(await lastRelease()).toMatchObject({
      emergency: true,
      reason: expect.stringContaining("panne") as string,
    });
    // Rewrites the settings, without the window.
    await startAgain();
  });

  it("makes a second deployment wait, and prints who holds the lock", async () => {
    let second: Promise<{ code: number; stdout: string; stderr: string }> | undefined;
    const first = await startDeploy((line) => {
      if (line.startsWith("plan:")) second ??= deploy();
    });
    const refused = await second!;

    expect(first).toBe(0);
    expect(refused.code, refused.stdout).toBe(3);
    expect(refused.stdout + refused.stderr).toMatch(/root@\S+/);
  });

  it("is closed by the next deployment, which succeeds, when it was killed at any step", async () => {
    for (const line of ["preflight:", "plan:", "up:"]) {
      await startDeploy((said, kill) => {
        if (said.startsWith(line)) kill();
      });
    }
    const { code, stdout, stderr } = await deploy();

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const { releases } = await history();
    expect(releases.filter(({ outcome }) => outcome === "running")).toEqual([]);
    await expectQuiet();
  });
});

describe("npm run images -- pin", () => {
  it("writes digests and changes nothing that runs", async () => {
    await set(IMAGE, "technicia/vector-store:1.0.0");
    const { code, stdout, stderr } = await npm("images", "--", "pin", "test");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const settings = await operator(["cat", "Pulumi.test.yaml"]);

    expect(settings.stdout).toMatch(/vectorStore: technicia\/vector-store:1\.0\.0@sha256:[0-9a-f]{64}/);
  });
});

import { beforeAll, describe, expect, it } from "vitest";

import { deploy, IMAGE, lastRelease, runningImage } from "./deployments.ts";
import { askHealth, ensureStarted, expectQuiet, set, traffic } from "./rehearsal.ts";

beforeAll(ensureStarted);

describe("a deployment", () => {
  it("goes through every gate, is recorded, and leaves a quiet preview", async () => {
    const { code, stdout, stderr } = await deploy();

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const release = await lastRelease();
    expect(release).toMatchObject({ stack: "test", kind: "deploy", outcome: "succeeded" });
    expect(release.verify.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    expect(release.verify.filter(({ outcome }) => outcome === "ok").length).toBeGreaterThan(15);
    expect(Object.keys(release.seconds)).toEqual(
      expect.arrayContaining(["preflight", "plan", "up", "verify"]),
    );
    await expectQuiet();
  });

  it("that answers 500 is rolled back by itself, with the old release serving throughout", async () => {
    const before = await runningImage();
    await set(IMAGE, "technicia/vector-store:1.0.3-faulty");
    const asking = traffic(askHealth);
    const { code, stdout, stderr } = await deploy();
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
});
